"""bizrq: quotas that follow the organisation."""

__all__ = ["__version__"]

__version__ = "0.1.0"
