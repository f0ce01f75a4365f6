"""Lists of tags and of referrers: kept as upstream wrote them, checked like tags, and served stale without it.

``helm`` looks for the newest chart in the one, ``cosign`` for signatures in the other: without them an image that is
kept cannot be used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ..oci.digests import Digest
from ..oci.documents import NotJson, parse_json
from ..oci.errors import RegistryError
from ..oci.media_types import INDEX, JSON, passed_type
from ..policy.freshness import Freshness, Lifetimes, freshness
from ..policy.headers import answer_headers, next_page
from ..policy.refusals import Unconfirmed
from ..store.entries import View
from ..store.store import Store
from ..upstream.client import Listed, RegistryClient
from ..upstream.single_flight import SingleFlight
from .patience import Patience
from .permissions import Permissions
from .reply import Asked, CacheStatus, Content, Reply, warned

__all__ = ["ListRequest", "Lists"]

# Lists are kept that are asked for with these alone; and with these of upstream's header.
_KEPT_QUERY = frozenset({"n", "last", "artifactType"})
_LONGEST_NAME = 512
_KEPT_FIELDS = frozenset({"content-type", "link", "oci-filters-applied"})


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Which list is asked for.

    Arguments:
        digest: what is referred to; None is the list of tags.
        query: what of the client's query is upstream's.
    """

    digest: Digest | None
    query: Mapping[str, str]

    @property
    def name(self) -> str:
        """What it is kept by: no tag is called so."""
        what = "tags/list" if self.digest is None else f"referrers/{self.digest}"
        return f"{what}?{urlencode(sorted(self.query.items()))}"

    @property
    def is_kept(self) -> bool:
        """Whether it is one that clients ask for again, and not one of the endless many that can be made up."""
        return len(self.name) <= _LONGEST_NAME and self.query.keys() <= _KEPT_QUERY

    @property
    def media_type(self) -> str:
        """Of the answer, where upstream does not say one of JSON."""
        return JSON if self.digest is None else INDEX


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list as it is kept, and when upstream gave it (seconds since the epoch)."""

    listed: Listed
    checked: float


class Lists:
    """Answers requests for lists.

    Arguments:
        client: asks upstream.
        store: what is kept.
        permissions: who may have it.
        lifetimes: how long it counts.
        patience: waits for upstream where something is kept.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        client: RegistryClient,
        store: Store,
        permissions: Permissions,
        lifetimes: Lifetimes,
        patience: Patience,
        now: Callable[[], float],
    ) -> None:
        self._client = client
        self._store = store
        self._permissions = permissions
        self._lifetimes = lifetimes
        self._patience = patience
        self._now = now
        self._fetches: SingleFlight[tuple[View, str], Listed] = SingleFlight()

    async def get(self, view: View, request: ListRequest, asked: Asked) -> Reply:
        """Return the reply. Raises RegistryError."""
        if view.caller is not None:
            return _reply(await self._ask(view, request), request, asked, CacheStatus.MISS)
        kept = self._kept(view, request)
        if kept is not None and freshness(kept.checked, self._now(), self._lifetimes) is Freshness.FRESH:
            return _reply(kept.listed, request, asked, CacheStatus.HIT)

        async def ask() -> Reply:
            listed = await self._fetches.run((view, request.name), lambda: self._fetch(view, request))
            return _reply(listed, request, asked, CacheStatus.MISS)

        return await self._patience.run(
            (view, request.name), view.repository.registry, ask, lambda error: self._stale(view, request, asked, error)
        )

    async def _ask(self, view: View, request: ListRequest) -> Listed:
        client = self._client.on_behalf_of(view.caller)
        try:
            if request.digest is None:
                return await client.tags(view.repository, request.query)
            return await client.referrers(view.repository, request.digest, request.query)
        except RegistryError as error:
            self._permissions.refused(view, error)
            raise

    async def _fetch(self, view: View, request: ListRequest) -> Listed:
        listed = await self._ask(view, request)
        if not request.is_kept:
            return listed
        content = _written(listed, request.name)
        digest = Digest.of(content)
        before = self._store.index.tagged(view, request.name)
        if before is not None and before.digest != digest:
            # Nobody has a right to it any more, so that it goes.
            self._store.index.unlink(view, [before.digest])
        self._store.keep(view.entry(digest), content)
        self._permissions.given(view, digest, size=len(content))
        self._store.index.tag(view, request.name, digest)
        return listed

    def _kept(self, view: View, request: ListRequest) -> _Kept | None:
        entry = self._store.index.tagged(view, request.name)
        link = None if entry is None else self._store.index.linked(view, entry.digest)
        if entry is None or link is None or (view.private and not link.confirmed):
            return None
        content = self._store.read(view.entry(entry.digest))
        listed = None if content is None else _read(content)
        return None if listed is None else _Kept(listed, entry.checked)

    def _stale(self, view: View, request: ListRequest, asked: Asked, error: RegistryError) -> Reply:
        """Serve what is kept though upstream cannot or will not give it now; or raise ``error``."""
        if error.status == 404 and not isinstance(error, Unconfirmed):
            self._store.index.untag(view, request.name)
            raise error
        for seen in self._permissions.also_through(view):
            kept = self._kept(seen, request)
            if kept is not None:
                reply = _reply(kept.listed, request, asked, CacheStatus.STALE)
                return warned(reply, self._permissions.warning(seen, kept.checked, error))
        raise error


def _reply(listed: Listed, request: ListRequest, asked: Asked, cache_status: str) -> Reply:
    headers = {
        **answer_headers(listed.headers),
        "Content-Type": passed_type(listed.headers.get("content-type"), request.media_type),
        "Cache-Status": cache_status,
    }
    link = next_page(listed.headers.get("link", ""), asked.path, asked.query.get("ns"))
    return Reply(200, headers if link is None else headers | {"Link": link}, Content(listed.content))


def _written(listed: Listed, name: str) -> bytes:
    """Return a list and what belongs to it as one content, which is no other list's."""
    fields = {name: value for name, value in listed.headers.items() if name in _KEPT_FIELDS}
    return json.dumps({"list": name, **fields}, sort_keys=True).encode() + b"\n" + listed.content


def _read(content: bytes) -> Listed | None:
    """Return what was written; None where that is something else."""
    head, _, body = content.partition(b"\n")
    try:
        fields: Any = parse_json(head)
    except NotJson:
        return None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        return None
    return Listed(fields, body)
