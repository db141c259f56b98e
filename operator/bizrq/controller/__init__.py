"""The process that keeps every status true."""
