"""A private mirror proxy for every container registry."""

__version__ = "0.1.0"
