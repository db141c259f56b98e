"""Talks to the API server; knows objects, not quota."""
