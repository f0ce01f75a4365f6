"""What the manifests that are kept say of what they refer to: how large it is, and which tags lead there."""

from __future__ import annotations

from collections.abc import Iterator

from ..oci.digests import Digest
from ..oci.manifests import references
from ..oci.names import Repository
from ..store.entries import View
from ..store.recent import recent_manifests, recent_tags
from ..store.store import Store
from .permissions import Permissions

__all__ = ["KeptReferences"]

# Manifests and tags of a repository that are looked at, the most recent ones; larger manifests are not read for this.
_MANIFESTS, _TAGS = 8, 64
_LARGEST = 64 * 1024
# Indexes of indexes, and a manifest's blobs.
_DEPTH = 3


class KeptReferences:
    """Looks them up when they are wanted: a blob that is not here, or something that is gone.

    Arguments:
        store: what is kept.
        permissions: how repositories are seen.
    """

    def __init__(self, store: Store, permissions: Permissions) -> None:
        self._store = store
        self._permissions = permissions

    def size(self, repository: Repository, digest: Digest) -> int | None:
        """Return the size of a blob in bytes as manifests say; None where none does, or they do not agree."""
        view = self._permissions.view(repository)
        sizes = {
            one.size
            for manifest in recent_manifests(self._store.index, view, _MANIFESTS)
            for one in references(self._read(view, manifest))
            if one.digest == digest and not one.is_manifest
        }
        return sizes.pop() if len(sizes) == 1 else None

    def tags(self, view: View, digest: Digest) -> Iterator[str]:
        """Give the tags that lead to something."""
        wanted = str(digest).encode("ascii")
        for name, tagged in recent_tags(self._store.index, view, _TAGS).items():
            if self._leads(view, tagged, wanted, _DEPTH):
                yield name

    def _leads(self, view: View, digest: Digest, wanted: bytes, depth: int) -> bool:
        content = self._read(view, digest)
        if wanted in content:
            return True
        below = [one.digest for one in references(content) if one.is_manifest] if depth else []
        return any(self._leads(view, one, wanted, depth - 1) for one in below)

    def _read(self, view: View, digest: Digest) -> bytes:
        entry = view.entry(digest)
        size = self._store.size(entry)
        if size is None:
            # It may be on its way to the disk, and is in memory until then.
            link = self._store.index.linked(view, digest)
            size = None if link is None else link.size
        return (self._store.read(entry) or b"") if size is not None and size <= _LARGEST else b""
