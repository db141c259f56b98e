"""What operators of bizrq can see: metrics, health, logs."""
