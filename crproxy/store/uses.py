"""What was asked for since the index last heard of it, of all workers."""

from __future__ import annotations

from ..sharing import Sharing
from .entries import Entry

__all__ = ["Uses"]


class Uses:
    """Entries that are in use.

    Arguments:
        sharing: has those of all workers.
    """

    def __init__(self, sharing: Sharing) -> None:
        self._is_alone = sharing.is_alone
        self._shared = sharing.count("uses")
        self._own: set[Entry] = set()

    def __contains__(self, entry: Entry) -> bool:
        """Tell whether any worker was asked for it."""
        return entry in self._own or (not self._is_alone and self._shared.of(str(entry)) > 0)

    def add(self, entry: Entry) -> None:
        """Note that this worker was asked for it."""
        if entry not in self._own:
            self._own.add(entry)
            if not self._is_alone:
                self._shared.add(str(entry))

    def take(self) -> set[Entry]:
        """Return this worker's, and note them no more."""
        taken, self._own = self._own, set()
        if not self._is_alone:
            for entry in taken:
                self._shared.remove(str(entry))
        return taken
