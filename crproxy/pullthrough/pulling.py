"""One image, pulled into the cache for nobody: its manifests, its blobs and, where that is wanted, what refers to it.

It asks as a client would, and by the same code: what is kept is not fetched again, and what came half is resumed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..flights import NotKept
from ..oci.digests import Digest
from ..oci.documents import NotJson, parse_json
from ..oci.errors import ErrorCode, RegistryError
from ..oci.manifests import MANIFEST_LIMIT, Descriptor, all_references
from ..oci.names import Reference, Repository, Tag
from ..oci.platforms import Platform
from ..oci.routes import ManifestRequest
from ..store.entries import Entry
from ..store.store import Store
from .pullthrough import PullThrough
from .referrers import referrers, signature_tags
from .reply import Asked, Content

__all__ = ["Progress", "Pulling", "State", "Wish", "together"]

Result = TypeVar("Result")

# Manifests below manifests: an index, its images, and one more for an index of indexes.
_DEPTH = 3
# Seconds that are waited, at the most, where too much is asked at once; and how often.
_WAIT, _WAITS = 60, 10
# Seconds between two looks at what an earlier write, or another process, may be storing; and how many.
_LOOK, _LOOKS = 0.1, 50


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of each image.

    Arguments:
        platforms: of an index; none are all.
        referrers: also what refers to it: signatures, attestations, bills of materials.
        jobs: transfers at a time, of all images together.
    """

    platforms: tuple[Platform, ...] = ()
    referrers: bool = False
    jobs: int = 4


class State(enum.Enum):
    """How it stands with one image."""

    WAITING = "waiting"
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Progress:
    """How far one image is, in bytes of blobs.

    Arguments:
        total: bytes, as far as manifests have told.
        kept: of those, what is in the store; ``fetched`` of these came from upstream in this run.
        coming: what is in the air, and what tells how many bytes of it are here.
        entries: all that belongs to it.
        digest: of the image, once it is known.
        why: the reason why it failed; or something worth saying though it is all here.
    """

    state: State = State.WAITING
    total: int = 0
    kept: int = 0
    fetched: int = 0
    coming: dict[Digest, Callable[[], int]] = field(default_factory=dict)
    entries: set[Entry] = field(default_factory=set)
    digest: Digest | None = None
    why: str | None = None

    @property
    def done(self) -> int:
        """Bytes that are here."""
        return self.kept + sum(filled() for filled in self.coming.values())

    def fail(self, why: str) -> None:
        """It cannot be had."""
        self.state, self.why = State.FAILED, why


async def together(work: Iterable[Coroutine[Deferred[Any], Any, None]]) -> None:
    """Run all of it side by side to its end; then raise what the first of those raised that failed.

    Cancelled, all of it is.
    """
    outcomes: list[tuple[bool, Any]]
    outcomes = await DeferredList([Deferred.fromCoroutine(one) for one in work], consumeErrors=True)
    for succeeded, outcome in outcomes:
        if not succeeded:
            outcome.raiseException()


class Pulling:
    """Pulls from one repository.

    Arguments:
        pullthrough: answers as it answers clients.
        store: where it all is to be in the end.
        progress: kept up to date.
        transfers: has a place for each transfer that may be under way.
        clock: for waiting.
    """

    def __init__(
        self,
        pullthrough: PullThrough,
        store: Store,
        repository: Repository,
        progress: Progress,
        transfers: DeferredSemaphore,
        clock: IReactorTime,
    ) -> None:
        self._pullthrough = pullthrough
        self._store = store
        self._repository = repository
        self._view = pullthrough.view(repository)
        self._progress = progress
        self._transfers = transfers
        self._clock = clock
        self._begun: set[Digest] = set()

    async def pull(self, reference: Reference, wish: Wish) -> None:
        """Return when all that is wanted of an image is in the store.

        Raises:
            RegistryError: it cannot be had. What came of it stays.
        """
        digest, content = await self._manifest(reference)
        self._progress.digest = digest
        await self._below(self._repository.named(reference), content, wish.platforms, _DEPTH)
        if wish.referrers:
            await self._referrers(digest)

    # Manifests

    async def _manifest(self, reference: Reference) -> tuple[Digest, bytes]:
        """Return a manifest, which is in the store then."""
        await self._transfers.acquire()
        try:
            path = f"/v2/{self._repository.path}/manifests/{reference}"
            request = ManifestRequest(self._repository.path, reference)
            asked = Asked("GET", path)
            reply = await self._patiently(lambda: self._pullthrough.answer(self._repository, request, asked))
            content = reply.body.content if isinstance(reply.body, Content) else b""
            digest = Digest.parse(reply.headers["Docker-Content-Digest"])
            await self._settle(self._view.entry(digest), content)
        finally:
            self._transfers.release()
        warning = reply.headers.get("Warning")
        if warning is not None:
            self._progress.why = warning.partition('"')[2].rpartition('"')[0] or warning
        return digest, content

    async def _settle(self, entry: Entry, content: bytes) -> None:
        """Return when a manifest is on disk, which clients do not wait for."""
        self._progress.entries.add(entry)
        self._begun.add(entry.digest)
        for _ in range(_LOOKS):
            if self._store.size(entry) is not None:
                return
            # Does nothing where it is being written.
            await self._store.keep(entry, content)
            await deferLater(self._clock, _LOOK)
        raise RegistryError(ErrorCode.UNAVAILABLE, "it cannot be stored: the log of crproxy says why", retry_after=60)

    async def _below(self, name: str, content: bytes, platforms: tuple[Platform, ...], depth: int) -> None:
        """Pull what a manifest refers to: of an index only what is for ``platforms``, where there are any."""
        found = [one for one in all_references(content) if not one.is_foreign]
        manifests = [one for one in found if one.is_manifest]
        if platforms and manifests:
            manifests = [one for one in manifests if _is_for(one.platform, platforms)]
        elif platforms:
            await self._check_platform(name, content, platforms)
        blobs = [one for one in found if not one.is_manifest and one.digest not in self._begun]
        await together(
            [
                *(self._child(one, depth) for one in manifests if one.digest not in self._begun),
                *(self._blob(one) for one in {one.digest: one for one in blobs}.values()),
            ]
        )
        missing = _missing(platforms, [one for one in found if one.is_manifest])
        if missing:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, f"{name} is not there for {missing}")

    async def _child(self, descriptor: Descriptor, depth: int) -> None:
        if depth == 0:
            raise RegistryError(ErrorCode.MANIFEST_INVALID, "there are too many indexes in one another")
        _, content = await self._manifest(descriptor.digest)
        await self._below(str(descriptor.digest), content, (), depth - 1)

    async def _check_platform(self, name: str, content: bytes, platforms: tuple[Platform, ...]) -> None:
        """Refuse an image for a single platform, which is another one. Only its configuration says which."""
        config = next(iter(all_references(content)), None)
        if config is None or not config.media_type.endswith(("image.config.v1+json", "container.image.v1+json")):
            return
        await self._blob(config)
        entry = self._view.entry(config.digest)
        size = self._store.size(entry)
        # It may be said of any blob, however large, that it is a configuration.
        stored = self._store.read(entry) if size is not None and size <= MANIFEST_LIMIT else None
        is_for = _platform_of(stored or b"")
        if is_for is not None and not _is_for(is_for, platforms):
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, f"{name} is for {is_for} alone")

    # Blobs

    async def _blob(self, descriptor: Descriptor) -> None:
        self._begun.add(descriptor.digest)
        self._progress.total += descriptor.size
        self._progress.entries.add(self._view.entry(descriptor.digest))
        await self._transfers.acquire()
        try:
            fetched = await self._fetch(descriptor)
            self._progress.fetched += fetched
            self._progress.kept += descriptor.size
        except NotKept as error:
            why = f"{descriptor.digest} cannot be stored: {error}"
            raise RegistryError(ErrorCode.UNAVAILABLE, why, retry_after=60) from error
        finally:
            self._progress.coming.pop(descriptor.digest, None)
            self._transfers.release()

    async def _fetch(self, descriptor: Descriptor) -> int:
        """Return how many bytes were fetched, when all of it is in the store."""
        flight = await self._patiently(lambda: self._pullthrough.fetch(self._repository, descriptor.digest))
        if flight is None:
            return 0
        began = flight.filled
        self._progress.coming[descriptor.digest] = lambda: flight.filled
        await flight.finished()
        return flight.filled - began

    async def _patiently(self, ask: Callable[[], Coroutine[Deferred[Any], Any, Result]]) -> Result:
        """Return what ``ask`` does; asked again where somebody says that it is too much just now, and for how long."""
        for _ in range(_WAITS):
            try:
                return await ask()
            except RegistryError as error:
                wait = error.retry_after
                if error.code is not ErrorCode.TOOMANYREQUESTS or wait is None or wait > _WAIT:
                    raise
                await deferLater(self._clock, wait)
        return await ask()

    # What refers to it

    async def _referrers(self, digest: Digest) -> None:
        for reference in await referrers(self._pullthrough, self._repository, digest):
            await self._referrer(reference)
        for tag in signature_tags(digest):
            await self._referrer(tag)

    async def _referrer(self, reference: Reference) -> None:
        try:
            _, content = await self._manifest(reference)
        except RegistryError as error:
            # A tag that is made of the digest is there only where somebody signed.
            if error.status == 404 and isinstance(reference, Tag):
                return
            raise
        await self._below(str(reference), content, (), _DEPTH)


def _is_for(platform: Platform | None, platforms: tuple[Platform, ...]) -> bool:
    return platform is not None and any(wanted.covers(platform) for wanted in platforms)


def _missing(platforms: tuple[Platform, ...], manifests: list[Descriptor]) -> str:
    """Return which platforms an index does not have, and which it has; nothing where all is well."""
    if not manifests:
        return ""
    there = sorted({str(one.platform) for one in manifests if one.platform is not None} - {"unknown/unknown"})
    missing = [str(wanted) for wanted in platforms if not any(_is_for(one.platform, (wanted,)) for one in manifests)]
    return f"{', '.join(missing)}; it is for {', '.join(there) or 'none that it names'}" if missing else ""


def _platform_of(config: bytes) -> Platform | None:
    try:
        platform = Platform.of({"platform": parse_json(config)})
    except NotJson:
        return None
    return platform if platform is not None and platform.os and platform.architecture else None
