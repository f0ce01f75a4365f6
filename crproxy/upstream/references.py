"""What is known here of what a registry should send."""

from __future__ import annotations

from typing import Protocol

from ..oci.digests import Digest
from ..oci.names import Repository

__all__ = ["NoReferences", "References"]


class References(Protocol):
    """What manifests say of what they refer to."""

    def size(self, repository: Repository, digest: Digest) -> int | None:
        """Return the size of a blob in bytes; None where it is not known."""


class NoReferences:
    """Nothing is known (References)."""

    def size(self, repository: Repository, digest: Digest) -> int | None:
        """Return None (References)."""
        return None
