"""What does it cost at scale, beside a reference that does as little as possible? See ``docs/performance.md``."""
