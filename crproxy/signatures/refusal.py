"""The one way to refuse a signature."""

from __future__ import annotations

__all__ = ["NotSigned"]


class NotSigned(ValueError):
    """Nobody who is trusted has signed the image; the text says why, for the person at ``docker pull``."""
