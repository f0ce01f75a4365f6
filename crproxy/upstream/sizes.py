"""How large blobs are, as manifests say: a body of another length is not the blob, whatever its server answered."""

from __future__ import annotations

from ..oci.digests import Digest
from ..oci.manifests import references
from ..oci.names import Repository
from ..sharing import Alone, Sharing

__all__ = ["Sizes"]


class Sizes:
    """What the manifests of a daemon say.

    Arguments:
        sharing: keeps it, for all workers.
    """

    def __init__(self, sharing: Sharing | None = None) -> None:
        sharing = sharing or Alone()
        # By repository and digest, each a number of bytes; and by repository and digest those that were read.
        self._sizes = sharing.records("sizes")
        self._read = sharing.records("manifests read")

    def note(self, repository: Repository, digest: Digest, content: bytes) -> None:
        """Note what a manifest of ``repository`` says, unless that was done before."""
        if self._read.get((repository, digest)) is not None:
            return
        self._read.put((repository, digest), True)
        for one in references(content):
            if not one.is_manifest:
                self._sizes.put((repository, one.digest), one.size)

    def of(self, repository: Repository, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, where a manifest of its repository was seen."""
        size: int | None = self._sizes.get((repository, digest))
        return size
