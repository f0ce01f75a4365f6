"""What belongs to an image, for this proxy's own use: got as clients get it, and so kept, and served stale as well."""

from __future__ import annotations

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.manifests import MANIFEST_LIMIT
from ..oci.names import Reference, referrers_tag
from ..store.entries import View
from .blobs import Blobs
from .collecting import collected
from .lists import ListRequest, Lists
from .manifests import Manifests
from .paging import next_query
from .reply import Asked

__all__ = ["Artifacts"]

# Pages of a list at the most.
_PAGES = 5
# How registries answer that have no list of referrers, or know no such path.
_NO_LIST = frozenset({400, 404, 405, 406})


class Artifacts:
    """Reads small things whole.

    Arguments:
        manifests, blobs, lists: answer for these. No rule about what clients may have is asked here.
    """

    def __init__(self, manifests: Manifests, blobs: Blobs, lists: Lists) -> None:
        self._manifests = manifests
        self._blobs = blobs
        self._lists = lists

    async def manifest(self, view: View, reference: Reference) -> bytes:
        """Return a manifest. Raises RegistryError."""
        reply = await self._manifests.get(view, reference, "GET")
        return await collected(reply.body, MANIFEST_LIMIT, "a manifest that belongs to the image is too long")

    async def blob(self, view: View, digest: Digest, limit: int) -> bytes:
        """Return a blob of ``limit`` bytes at the most. Raises RegistryError, where it is larger too."""
        asked = Asked("GET", f"/v2/{view.repository.path}/blobs/{digest}", may_redirect=False)
        reply = await self._blobs.get(view, digest, asked)
        return await collected(reply.body, limit, "a blob that belongs to the image is too long")

    async def referrers(self, view: View, digest: Digest) -> list[bytes]:
        """Return the pages of the list of what refers to ``digest``, a few at the most.

        Where a registry has no such list, or cannot be asked for it, the tag that stands for it may be kept.

        Raises:
            RegistryError: among others with the status 404, where nothing does.
        """
        try:
            return await self._pages(view, digest)
        except RegistryError as error:
            if error.status < 500 and error.status not in _NO_LIST:
                raise
            why = error
        try:
            return [await self.manifest(view, referrers_tag(digest))]
        except RegistryError:
            if why.status >= 500:
                raise why from None
            raise

    async def _pages(self, view: View, digest: Digest) -> list[bytes]:
        path, query = f"/v2/{view.repository.path}/referrers/{digest}", dict[str, str]()
        pages: list[bytes] = []
        while len(pages) < _PAGES:
            reply = await self._lists.get(view, ListRequest(digest, query), Asked("GET", path, query=query))
            pages.append(await collected(reply.body, MANIFEST_LIMIT, "the list of referrers is too long"))
            query = next_query(reply)
            if not query:
                break
        return pages
