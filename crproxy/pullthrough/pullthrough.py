"""Which kind of request it is, and who answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode

from twisted.internet.defer import Deferred, succeed

from ..flights import Flight
from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Repository, Tag
from ..oci.routes import BlobRequest, ManifestRequest, ReferrersRequest, TagsRequest
from ..store.entries import View
from .blobs import Blobs
from .invalidation import Invalidation
from .lists import ListRequest, Lists
from .manifests import before
from .permissions import Permissions
from .recall import Recall
from .reply import Asked, Reply
from .ruled_manifests import RuledManifests

__all__ = ["PullThrough"]

# Tags in a page at the most: what is asked for beyond that comes by its Link.
_MOST_TAGS = 10_000


class PullThrough:
    """Answers requests for images.

    Arguments:
        manifests, blobs: answer for these.
        lists: tags and referrers.
        permissions: who may have what.
        invalidation: of tags that lead to what is gone.
        settled: fires when what was noted so far is known to all workers.
        recall: has what other nodes know here; None where there are none.
    """

    def __init__(
        self,
        manifests: RuledManifests,
        blobs: Blobs,
        lists: Lists,
        permissions: Permissions,
        invalidation: Invalidation,
        settled: Callable[[], Deferred[None]] = lambda: succeed(None),
        recall: Recall | None = None,
    ) -> None:
        self._settled = settled
        self._recall = recall
        self._manifests = manifests
        self._blobs = blobs
        self._lists = lists
        self._invalidation = invalidation
        self.view = permissions.view

    async def fetch(self, repository: Repository, digest: Digest) -> Flight | None:
        """Return the flight that brings a blob into the store, delivered to nobody; None where it is there.

        Raises:
            RegistryError: upstream refuses.
            NotKept: nothing can be stored.
        """
        self._manifests.refuse_denied(repository, digest)
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
        self._manifests.check(asked.decision, repository)
        view = self.view(repository, asked.caller)
        if self._recall is not None and view.caller is None:
            await _recall(self._recall, view, request, asked)
        try:
            return await self._answer_seen(view, request, asked)
        except RegistryError as error:
            digest = _digest_of(request)
            if error.status == 404 and digest is not None:
                self._invalidation.gone(view, digest)
            raise

    async def _answer_seen(
        self,
        view: View,
        request: ManifestRequest | BlobRequest | TagsRequest | ReferrersRequest,
        asked: Asked,
    ) -> Reply:
        match request:
            case ManifestRequest(reference=reference):
                return await self._manifests.get(view, reference, asked.method, asked.decision)
            case BlobRequest(digest=digest):
                self._manifests.refuse_denied(view.repository, digest)
                is_head = asked.method == "HEAD"
                reply = await (self._blobs.head(view, digest) if is_head else self._blobs.get(view, digest, asked))
                return self._manifests.unless_denied(_located(reply, asked), digest)
            case TagsRequest() | ReferrersRequest():
                return await self._lists.get(view, _list_of(request, asked), asked)


async def _recall(
    recall: Recall,
    view: View,
    request: ManifestRequest | BlobRequest | TagsRequest | ReferrersRequest,
    asked: Asked,
) -> None:
    """Have here what other nodes know of what is asked for. What a client's own credentials open none of them tells."""
    match request:
        case ManifestRequest(reference=Digest() as digest):
            await recall.content(view, digest)
        case ManifestRequest(reference=Tag() as tag):
            if not await recall.named(view, tag.name):
                await recall.named(view, before(tag))
        case BlobRequest(digest=digest):
            await recall.permission(view, digest)
        case TagsRequest() | ReferrersRequest():
            listed = _list_of(request, asked)
            if listed.is_kept:
                await recall.named(view, listed.name)


def _list_of(request: TagsRequest | ReferrersRequest, asked: Asked) -> ListRequest:
    digest = request.digest if isinstance(request, ReferrersRequest) else None
    return ListRequest(digest, _upstreams(asked.query))


def _digest_of(request: ManifestRequest | BlobRequest | TagsRequest | ReferrersRequest) -> Digest | None:
    """Return the digest of what is asked for itself by one."""
    match request:
        case ManifestRequest(reference=Digest() as digest) | BlobRequest(digest=digest):
            return digest
    return None


def _located(reply: Reply, asked: Asked) -> Reply:
    """Say where the blob is, for clients that ask there for its parts whether they were redirected or not: ollama."""
    if reply.status not in (200, 206):
        return reply
    ns = asked.query.get("ns")
    where = asked.path if ns is None else f"{asked.path}?{urlencode({'ns': ns})}"
    return replace(reply, headers={**reply.headers, "Location": where})


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
