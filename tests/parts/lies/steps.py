"""What is done on a connection, one thing after the other."""

from __future__ import annotations

import enum

__all__ = ["End", "Step"]


class End(enum.Enum):
    """How a connection ends."""

    CLOSE = enum.auto()
    RESET = enum.auto()


# Bytes are sent, seconds are waited; after an End nothing follows.
Step = bytes | float | End
