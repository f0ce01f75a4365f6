"""That images are signed, as the index keeps it (pullthrough.verdicts.Verdicts): it is true for good."""

from __future__ import annotations

from ..oci.digests import Digest
from ..oci.names import Repository
from .index import Index

__all__ = ["KeptVerdicts"]


class KeptVerdicts:
    """Keeps them. Arguments: index: has them; what is on its way there counts."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def signed(self, repository: Repository, digest: Digest, trust: str) -> bool:
        """Tell whether it is known that a digest is signed by who is trusted (`Trust.fingerprint`)."""
        key = repository.registry.name, repository.path, str(digest), trust
        if any(key in notes.verdicts for notes in self._index.pending.waiting()):
            return True
        rows = self._index.read(
            "SELECT 1 FROM verdict WHERE registry = ? AND repository = ? AND digest = ? AND trust = ?", *key
        )
        return bool(rows)

    def note(self, repository: Repository, digest: Digest, trust: str, now: float) -> None:
        """It is, by what was found at ``now`` (seconds since the epoch)."""
        if self._index.pending.has_room:
            key = repository.registry.name, repository.path, str(digest), trust
            self._index.pending.notes.verdicts[key] = now
        self._index.pending.begin()
