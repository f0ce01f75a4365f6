"""Manifests: kept byte for byte, tags checked by HEAD, and served stale where upstream cannot be asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from ..limits.current_client import asked_by
from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.manifests import NoManifest, manifest_type
from ..oci.media_types import ANY, is_specific, passed_type
from ..oci.names import Reference, Registry, Tag
from ..oci.sizes import parse_size
from ..policy.freshness import Freshness, Lifetimes, freshness, warning
from ..policy.headers import answer_headers
from ..policy.refusals import Unconfirmed
from ..sharing import Alone, Claims
from ..store.entries import View
from ..store.index import Link
from ..store.notes import TagEntry
from ..store.store import Store
from ..store.tag_history import TagHistory
from ..upstream.client import Manifest, RegistryClient
from ..upstream.single_flight import SingleFlight
from .patience import Patience
from .permissions import Permissions
from .reply import CacheStatus, Content, Reply, Unsent, named, warned

__all__ = ["Manifests", "before"]


@dataclass(frozen=True, slots=True)
class _Counting:
    """A manifest that is served without a question, and until when that is so."""

    manifest: Manifest
    until: float


@dataclass(frozen=True, slots=True)
class _Kept:
    """A manifest as it is kept, and when upstream confirmed the tag it was asked by."""

    manifest: Manifest
    checked: float


class News(Protocol):
    """What nodes of a fleet tell each other of tags and manifests."""

    def tell(self, view: View, reference: Reference, entry: TagEntry, media_type: str | None) -> None:
        """Upstream has said where a tag points, or given a manifest.

        Arguments:
            media_type: of the manifest, where it is here.
        """

    async def hear(self, view: View, reference: Reference) -> None:
        """Have here what another node has just been told."""


class Manifests:
    """Answers requests for manifests.

    Arguments:
        client: asks upstream.
        store: what is kept.
        permissions: who may have it.
        lifetimes: how long tags count.
        patience: waits for upstream where something is kept.
        clock: the time.
        now: seconds since the epoch, by which tags have an age; the clock's by default.
        claims: to what one worker asks upstream for, so that the others need not.
        news: of other nodes; None where there are none.
        history: keeps where tags point; one of its own by default.
    """

    def __init__(
        self,
        client: RegistryClient,
        store: Store,
        permissions: Permissions,
        lifetimes: Lifetimes,
        patience: Patience,
        clock: IReactorTime,
        *,
        now: Callable[[], float] | None = None,
        claims: Claims | None = None,
        news: News | None = None,
        history: TagHistory | None = None,
    ) -> None:
        self._news = news
        # Where other workers are to find it there.
        self._awaits_disk = claims is not None
        self._claims = claims or Alone().claims("manifests")
        self._client = client
        self._store = store
        self._permissions = permissions
        self._lifetimes = lifetimes
        self._patience = patience
        self._now = now or clock.seconds
        self._history = history or TagHistory(store.index, self._now)
        self._fetches: SingleFlight[tuple[View, Reference], Manifest] = SingleFlight()
        self._checks: SingleFlight[tuple[View, Tag], Mapping[str, str] | None] = SingleFlight()

    async def get(self, view: View, reference: Reference, method: str) -> Reply:
        """Return the reply to a GET or HEAD of a manifest. Raises RegistryError."""
        if isinstance(reference, Digest):
            view = self._permissions.widest(view, reference)
        if view.caller is not None:
            return await self._for_caller(view, reference, method)
        reply = self._counting(view, reference)
        if reply is not None:
            return reply
        if method != "GET" or self._is_kept(view, reference):
            # What comes of it is not kept, or is only a confirmation: not worth waiting for others.
            return await self._ask(view, reference, method)
        claim = repr((view, reference))
        waited = await self._claims.take(claim)
        try:
            # Another worker has asked upstream meanwhile.
            if waited and self._news is not None:
                await self._news.hear(view, reference)
            reply = self._counting(view, reference) if waited else None
            return reply or await self._ask(view, reference, method)
        finally:
            self._claims.give_back(claim)

    def _is_kept(self, view: View, reference: Reference) -> bool:
        if isinstance(reference, Digest):
            return self._store.size(view.entry(reference)) is not None
        return self._kept_tag(view, reference) is not None

    def _counting(self, view: View, reference: Reference) -> Reply | None:
        """Return the reply with what is kept, where that counts without a question."""

        def look() -> _Counting | None:
            if isinstance(reference, Digest):
                return self._counting_digest(view, reference)
            return self._counting_tag(self._kept_tag(view, reference))

        counting = look()
        return None if counting is None else self._hit(counting, look)

    async def _ask(self, view: View, reference: Reference, method: str) -> Reply:
        if isinstance(reference, Digest):
            return await self._by_digest(view, reference, method)
        return await self._by_tag(view, reference, method)

    # With a client's own credentials

    async def _for_caller(self, view: View, reference: Reference, method: str) -> Reply:
        """Ask upstream whether this client may have it, each time, and serve what is stored where it may."""
        header = await self._header(view, reference)
        digest = None if header is None else _digest_of(header, reference)
        if digest is not None:
            if isinstance(reference, Tag):
                self._note_tag(view, reference, digest)
            kept = self._kept(self._permissions.widest(view, digest), digest)
            if kept is not None:
                return _reply(kept, CacheStatus.REVALIDATED)
            if header is not None and method == "HEAD":
                return _header_reply(header, digest)
        return _reply(await self._fetch(view, reference), CacheStatus.STORED)

    async def _header(self, view: View, reference: Reference) -> Mapping[str, str] | None:
        try:
            return await self._client.on_behalf_of(view.caller).head_manifest(view.repository, reference)
        except RegistryError as error:
            self._permissions.refused(view, error)
            raise

    # By digest

    async def _by_digest(self, view: View, digest: Digest, method: str) -> Reply:
        stored = self._store.read(view.entry(digest))
        if stored is not None and self._permissions.has_delivered(view, digest):
            return await self._by_word(view, digest, stored)
        header = await self._header(view, digest) if method == "HEAD" else None
        if header is None:
            return _reply(await self._fetch(view, digest), CacheStatus.STORED)
        return _header_reply(header, digest)

    def _counting_digest(self, view: View, digest: Digest) -> _Counting | None:
        link = self._permissions.link(view, digest)
        kept = None if link is None else self._kept_by(link, view, digest)
        return None if link is None or kept is None else _Counting(kept, self._permissions.until(view, link))

    async def _by_word(self, view: View, digest: Digest, stored: bytes) -> Reply:
        """Serve what is stored if upstream says that this repository has it; it had these bytes before."""

        def instead(error: RegistryError) -> Reply:
            link, stale = self._permissions.stale(view, digest, error)
            if link.media_type is None:
                raise error
            return warned(_reply(Manifest(digest, link.media_type, stored), CacheStatus.STALE), stale)

        return await self._patience.run(
            (view, digest), view.repository.registry, lambda: self._ask_by_word(view, digest, stored), instead
        )

    async def _ask_by_word(self, view: View, digest: Digest, stored: bytes) -> Reply:
        header = await self._header(view, digest)
        if header is None:
            return _reply(await self._fetch(view, digest), CacheStatus.STORED)
        media_type = _type_of(stored, header.get("content-type"))
        self._permissions.confirmed(view, digest, media_type, len(stored))
        return _reply(Manifest(digest, media_type, stored), CacheStatus.REVALIDATED)

    def _kept(self, view: View, digest: Digest) -> Manifest | None:
        """Return the manifest if it is stored, and upstream gave it to this repository and has refused nothing since.

        When that was is for the caller to judge.
        """
        link = self._store.index.linked(view, digest)
        return None if link is None else self._kept_by(link, view, digest)

    def _kept_by(self, link: Link, view: View, digest: Digest) -> Manifest | None:
        if link.media_type is None or (view.private and not link.confirmed):
            return None
        content = self._store.read(view.entry(digest))
        return None if content is None else Manifest(digest, link.media_type, content)

    # By tag

    async def _by_tag(self, view: View, tag: Tag, method: str) -> Reply:
        kept = self._kept_tag(view, tag)
        spared = None if kept is None else self._spared(kept, view.repository.registry)
        if spared is not None:
            return spared
        return await self._patience.run(
            (view, tag),
            view.repository.registry,
            lambda: self._ask_by_tag_once(view, tag, method, kept),
            lambda error: self._instead(view, tag, error, kept),
        )

    def _counting_tag(self, kept: _Kept | None) -> _Counting | None:
        if kept is None or freshness(kept.checked, self._now(), self._lifetimes) is not Freshness.FRESH:
            return None
        return _Counting(kept.manifest, kept.checked + self._lifetimes.tag_ttl)

    def _kept_tag(self, view: View, tag: Tag) -> _Kept | None:
        return self._kept_as(view, tag.name) or self._kept_as(view, before(tag))

    def _kept_as(self, view: View, name: str) -> _Kept | None:
        entry = self._store.index.tagged(view, name)
        manifest = None if entry is None else self._kept(view, entry.digest)
        return None if entry is None or manifest is None else _Kept(manifest, entry.checked)

    async def _ask_by_tag_once(self, view: View, tag: Tag, method: str, kept: _Kept | None) -> Reply:
        """Ask, unless another node does just now: then what that is told is heard, and counts."""
        if self._news is None or kept is None:
            return await self._ask_by_tag(view, tag, method, kept)
        claim = repr((view, tag))
        waited = await self._claims.take(claim)
        try:
            if waited:
                await self._news.hear(view, tag)
            reply = self._counting(view, tag) if waited else None
            return reply or await self._ask_by_tag(view, tag, method, kept)
        finally:
            self._claims.give_back(claim)

    async def _ask_by_tag(self, view: View, tag: Tag, method: str, kept: _Kept | None) -> Reply:
        if kept is None and method == "GET":
            return _reply(await self._fetch(view, tag), CacheStatus.STORED)
        header = await self._checks.run((view, tag), lambda: self._header(view, tag))
        if header is None:
            return _reply(await self._fetch(view, tag), CacheStatus.STORED)
        digest = _digest_of(header, tag)
        if digest is not None:
            if kept is not None and kept.manifest.digest != digest:
                # What is there now may never come here: until it does, this one is served while upstream is away.
                self._store.index.tag(view, before(tag), kept.manifest.digest, kept.checked)
            self._note_tag(view, tag, digest)
        if kept is not None and digest == kept.manifest.digest:
            if view.private:
                self._permissions.confirmed(view, digest)
            return _reply(kept.manifest, CacheStatus.REVALIDATED)
        if method == "HEAD":
            return _header_reply(header, digest)
        # The tag has moved, perhaps to something that another repository brought here already.
        moved = None if digest is None else self._kept(view, digest)
        return _reply(moved or await self._fetch(view, tag), CacheStatus.STORED)

    def _instead(self, view: View, tag: Tag, error: RegistryError, kept: _Kept | None) -> Reply:
        """Return what is served though upstream gave ``error``; or raise that."""
        if error.status == 404 and not isinstance(error, Unconfirmed):
            self._history.gone(view, tag, before(tag))
            raise error
        return self._stale(view, tag, error, kept)

    def _stale(self, view: View, tag: Tag, error: RegistryError, kept: _Kept | None) -> Reply:
        """Serve what is kept though upstream cannot or will not say whether it still counts; or raise ``error``."""
        for seen in self._permissions.also_through(view):
            kept = kept or self._kept_tag(seen, tag)
            if kept is not None:
                return warned(
                    _reply(kept.manifest, CacheStatus.STALE), self._permissions.warning(seen, kept.checked, error)
                )
        raise error

    def _spared(self, kept: _Kept, registry: Registry) -> Reply | None:
        """Return what is kept if upstream is not asked, because our quota there is nearly used up."""
        quota = self._client.quotas.low(registry)
        age = self._now() - kept.checked
        if quota is None or age > self._lifetimes.stale_if_error:
            return None
        why = f"the quota of {registry} is nearly used up ({quota})"
        return warned(_reply(kept.manifest, CacheStatus.SPARED), warning(why, age))

    # Both

    def _hit(self, counting: _Counting, look: Callable[[], _Counting | None]) -> Reply:
        """Return the reply with what is kept, and with how to find out that it would be the same again."""

        # Its content is what the digest says, and need not be held for this.
        digest, media_type = counting.manifest.digest, counting.manifest.media_type

        def confirm() -> float | None:
            found = look()
            is_same = found is not None and (found.manifest.digest, found.manifest.media_type) == (digest, media_type)
            return found.until if found is not None and is_same else None

        return replace(_reply(counting.manifest, CacheStatus.HIT), lasting=self._permissions.lasting(confirm))

    def _note_tag(self, view: View, tag: Tag, digest: Digest) -> None:
        checked = self._now()
        self._history.point(view, tag, digest, checked, asked_by())
        self._tell(view, tag, TagEntry(digest, checked))

    def _tell(self, view: View, reference: Reference, entry: TagEntry) -> None:
        if self._news is not None:
            link = self._store.index.linked(view, entry.digest)
            self._news.tell(view, reference, entry, None if link is None else link.media_type)

    async def _fetch(self, view: View, reference: Reference) -> Manifest:
        return await self._fetches.run((view, reference), lambda: self._fetch_and_keep(view, reference))

    async def _fetch_and_keep(self, view: View, reference: Reference) -> Manifest:
        try:
            manifest = await self._client.on_behalf_of(view.caller).manifest(view.repository, reference)
        except RegistryError as error:
            self._permissions.refused(view, error)
            raise
        written = self._store.keep(view.entry(manifest.digest), manifest.content)
        self._permissions.given(view, manifest.digest, manifest.media_type, len(manifest.content))
        self._history.saw(view.repository, manifest.digest)
        if self._awaits_disk:
            await written
        # Others come for it as soon as they are told.
        self._tell(view, manifest.digest, TagEntry(manifest.digest, self._now()))
        if isinstance(reference, Tag):
            self._note_tag(view, reference, manifest.digest)
        return manifest


def before(tag: Tag) -> str:
    """Return what is kept by the name of a tag that has moved: no tag is called so."""
    return f"before/{tag.name}"


def _reply(manifest: Manifest, cache_status: str) -> Reply:
    # What an earlier version noted in the index may be any text.
    media_type = _type_of(manifest.content, manifest.media_type)
    headers = {"Content-Type": media_type, **named(manifest.digest, cache_status)}
    return Reply(200, headers, Content(manifest.content))


def _type_of(content: bytes, said: str | None) -> str:
    """Return the Content-Type to answer with, where that was said of a manifest."""
    if not is_specific(said):
        with contextlib.suppress(NoManifest):
            return manifest_type(content, said)
    return passed_type(said, ANY)


def _header_reply(header: Mapping[str, str], digest: Digest | None) -> Reply:
    """Return the reply to a HEAD from upstream's: the body it stands for has a length, though none follows."""
    media_type = passed_type(header.get("content-type"), ANY)
    headers = answer_headers(header) | {"Content-Type": media_type, "Cache-Status": CacheStatus.MISS}
    body = Unsent(parse_size(header.get("content-length")))
    return Reply(200, headers if digest is None else headers | named(digest, CacheStatus.MISS), body)


def _digest_of(header: Mapping[str, str], reference: Reference) -> Digest | None:
    if isinstance(reference, Digest):
        return reference
    try:
        return Digest.parse(header.get("docker-content-digest", ""))
    except RegistryError:
        return None
