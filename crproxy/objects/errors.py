"""What can come of a question to the object store beside its answer."""

from __future__ import annotations

__all__ = ["NotThere", "Stopped", "TierFailed", "Unreadable"]


class TierFailed(Exception):
    """The object store did not answer, refused, or sent something else than was asked for: go elsewhere."""


class NotThere(Exception):
    """There is no such object."""


class Unreadable(Exception):
    """What was to be uploaded cannot be read from the disk."""


class Stopped(Exception):
    """What was to be uploaded was not, since nobody wants that any more."""
