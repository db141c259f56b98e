"""Which kinds of workload count, described as data."""
