"""What manifests say of what they refer to, and which tag led there."""

from __future__ import annotations

from ..oci.digests import Digest
from ..oci.manifests import references
from ..oci.names import Reference, Repository, Tag
from ..sharing import Alone, Sharing

__all__ = ["References"]


class References:
    """What the manifests of a daemon say.

    Arguments:
        sharing: keeps it, for all workers.
    """

    def __init__(self, sharing: Sharing | None = None) -> None:
        sharing = sharing or Alone()
        # By repository and digest: the bytes of a blob, as a manifest says; the tag by which something was found.
        self._sizes = sharing.records("sizes")
        self._tags = sharing.records("tags of references")
        # By repository, digest and tag: what was read.
        self._read = sharing.records("manifests read")

    def note(self, repository: Repository, reference: Reference, digest: Digest, content: bytes) -> None:
        """Note what a manifest of ``repository`` says that was asked for by ``reference``, unless that was done before.

        What it refers to was found by its tag, or by that which it was found by itself.
        """
        tag = reference.name if isinstance(reference, Tag) else self.tag(repository, digest)
        if self._read.get((repository, digest, tag)) is not None:
            return
        self._read.put((repository, digest, tag), True)
        for one in references(content):
            if not one.is_manifest:
                self._sizes.put((repository, one.digest), one.size)
            if tag is not None:
                self._tags.put((repository, one.digest), tag)

    def size(self, repository: Repository, digest: Digest) -> int | None:
        """Return the size of a blob in bytes, where a manifest of its repository was seen."""
        size: int | None = self._sizes.get((repository, digest))
        return size

    def tag(self, repository: Repository, digest: Digest) -> str | None:
        """Return the tag by which a manifest or blob was found last, where that was seen."""
        tag: str | None = self._tags.get((repository, digest))
        return tag
