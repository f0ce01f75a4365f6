"""Which kind of request it is, and who answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, succeed

from ..flights import Flight
from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.media_types import INDEX, JSON, passed_type
from ..oci.names import Repository
from ..oci.routes import BlobRequest, ManifestRequest, ReferrersRequest, TagsRequest
from ..policy.headers import answer_headers, next_page
from ..upstream.client import RegistryClient, Streamed
from .blobs import Blobs
from .manifests import Manifests
from .permissions import Permissions
from .reply import Asked, Reply

__all__ = ["PullThrough"]

# Tags in a page at the most: what is asked for beyond that comes by its Link.
_MOST_TAGS = 10_000


class PullThrough:
    """Answers requests for images.

    Arguments:
        manifests, blobs: answer what is kept.
        client: asks upstream for what is not: tags and referrers.
        permissions: who may have what.
        settled: fires when what was noted so far is known to all workers.
    """

    def __init__(
        self,
        manifests: Manifests,
        blobs: Blobs,
        client: RegistryClient,
        permissions: Permissions,
        settled: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> None:
        self._settled = settled
        self._manifests = manifests
        self._blobs = blobs
        self._client = client
        self.view = permissions.view

    async def fetch(self, repository: Repository, digest: Digest) -> Flight | None:
        """Return the flight that brings a blob into the store, delivered to nobody; None where it is there.

        Raises:
            RegistryError: upstream refuses.
            NotKept: nothing can be stored.
        """
        return await self._blobs.fetch(self.view(repository), digest)

    async def answer(
        self,
        repository: Repository,
        request: ManifestRequest | BlobRequest | TagsRequest | ReferrersRequest,
        asked: Asked,
    ) -> Reply:
        """Return the reply to ``request``, whose repository is ``repository``.

        Raises:
            RegistryError: instead of a reply; nothing of a body has been given yet.
        """
        reply = await self._answer(repository, request, asked)
        if reply.lasting is None:
            # With what it says its client may turn to another worker.
            try:
                await self._settled()
            except BaseException:
                # Its client has left.
                reply.body.abandon()
                raise
        return reply

    async def _answer(
        self,
        repository: Repository,
        request: ManifestRequest | BlobRequest | TagsRequest | ReferrersRequest,
        asked: Asked,
    ) -> Reply:
        view = self.view(repository, asked.caller)
        client = self._client.on_behalf_of(asked.caller)
        match request:
            case ManifestRequest(reference=reference):
                return await self._manifests.get(view, reference, asked.method)
            case BlobRequest(digest=digest) if asked.method == "HEAD":
                return await self._blobs.head(view, digest)
            case BlobRequest(digest=digest):
                return await self._blobs.get(view, digest, asked)
            case TagsRequest():
                return _listed(await client.tags(repository, _upstreams(asked.query)), asked, JSON)
            case ReferrersRequest(digest=digest):
                return _listed(await client.referrers(repository, digest, _upstreams(asked.query)), asked, INDEX)


def _listed(streamed: Streamed, asked: Asked, media_type: str) -> Reply:
    """Return a list, which is of ``media_type`` where upstream says that it is no JSON."""
    headers = {
        **answer_headers(streamed.headers),
        "Content-Type": passed_type(streamed.headers.get("content-type"), media_type),
    }
    link = next_page(streamed.headers.get("link", ""), asked.path, asked.query.get("ns"))
    return Reply(streamed.status, headers if link is None else headers | {"Link": link}, streamed.body)


def _upstreams(query: Mapping[str, str]) -> dict[str, str]:
    """Return what of a query is upstream's: all but ours. Some put parameters of their own into Link.

    Raises:
        RegistryError: ``n`` is no number (distribution specification, "Listing Tags").
    """
    asked = {name: value for name, value in query.items() if name != "ns"}
    if "n" in asked:
        number = asked["n"]
        if not number.isascii() or not number.isdecimal():
            raise RegistryError(ErrorCode.UNSUPPORTED, f"n={number[:20]} is no number of tags", status=400)
        asked["n"] = str(min(int(number[:9]), _MOST_TAGS))
    return asked
