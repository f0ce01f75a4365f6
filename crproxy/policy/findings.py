"""What was looked at when it was asked how a daemon is, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at.

    Arguments:
        what: it was.
        trouble: with it; empty where there is none.
        bears_it: clients can be served all the same.
    """

    what: str
    trouble: str = ""
    bears_it: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.trouble or 'ok'}"
