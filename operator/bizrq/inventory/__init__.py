"""What is alive now: in-memory tables fed by watch events, O(1) an event, pure."""
