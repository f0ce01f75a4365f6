"""The second tier as flights and answers use it: where bytes are, what all nodes know, and URLs for clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..flights.tiers import SourceFailed
from ..objects.errors import NotThere, TierFailed
from ..objects.tier import Tier
from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.names import Reference, Tag
from ..pullthrough.recall import FactsFailed
from ..sharing.bounding import drop_oldest
from ..store.entries import Entry, View
from ..store.notes import Link, TagEntry
from ..upstream.client import Streamed
from .tags import Told

__all__ = ["AskNode", "LookUp", "SecondTier", "TierSigner"]

Result = TypeVar("Result")

# Returns what some node has told of a tag or manifest just now; None where none has.
LookUp = Callable[[View, Reference], Awaitable[Told | None]]
# Returns small content that the node at some URL has; None where it does not give it.
AskNode = Callable[[str, Entry], Awaitable[bytes | None]]

# Seconds for which it is believed that the store has what it had: the janitor spares what was used within an hour.
_BELIEVED_SECONDS = 600.0


async def _nobody(view: View, reference: Reference) -> None:
    """No node tells another one."""


async def _nothing(url: str, entry: Entry) -> None:
    """No node gives another one anything."""


class SecondTier:
    """What all nodes have (tiers.ObjectStore, recall.Facts).

    Arguments:
        tier: the object store; None where there is none.
        look_up: asks where nodes tell each other of tags and manifests.
        ask_node: asks another node.
    """

    _log = Logger()

    def __init__(self, tier: Tier | None, look_up: LookUp = _nobody, ask_node: AskNode = _nothing) -> None:
        self._tier = tier
        self._look_up = look_up
        self._ask_node = ask_node
        # Which node has told of some content.
        self._nodes: dict[Entry, str] = {}

    async def open(self, entry: Entry, start: int, stop: int | None) -> Streamed | None:
        """Ask for bytes (ObjectStore)."""
        if self._tier is None:
            return None
        try:
            return await self._tier.open(entry, start, stop)
        except NotThere:
            return None
        except TierFailed as error:
            raise SourceFailed(str(error)) from error

    def blame(self, entry: Entry) -> None:
        """Have what is wrong there be removed (ObjectStore)."""
        if self._tier is not None:
            Deferred.fromCoroutine(self._tier.wrong(entry)).addErrback(self._stays, entry)

    async def tag(self, view: View, name: str) -> TagEntry | None:
        """Return where a tag, or what is kept like one, pointed (Facts)."""
        tag = _tag_of(name)
        told = None if tag is None else await self._look_up(view, tag)
        if told is not None:
            self._remember(view, told)
            return told.entry
        return None if self._tier is None else await self._fact(self._tier.tag(view, name))

    async def views(self, digest: Digest) -> Collection[View]:
        """Return through which views it was given (Facts)."""
        return () if self._tier is None else await self._fact(self._tier.views(digest))

    async def link(self, view: View, digest: Digest) -> Link | None:
        """Return a permission (Facts)."""
        told = await self._look_up(view, digest)
        if told is not None and told.media_type is not None:
            self._remember(view, told)
            return Link(told.media_type, None, told.entry.checked)
        return None if self._tier is None else await self._fact(self._tier.link(view, digest))

    async def content(self, entry: Entry) -> bytes | None:
        """Return small content (Facts): from the node that has told of it, or from the store."""
        url = self._nodes.pop(entry, None)
        content = None if url is None else await self._ask_node(url, entry)
        if content is not None and entry.digest.names(content):
            return content
        return None if self._tier is None else await self._fact(self._tier.read(entry))

    async def size(self, entry: Entry) -> int | None:
        """Return its bytes (Facts)."""
        return None if self._tier is None else await self._fact(self._tier.size(entry))

    def _remember(self, view: View, told: Told) -> None:
        if told.url is not None:
            self._nodes[view.entry(told.entry.digest)] = told.url
            drop_oldest(self._nodes)

    async def _fact(self, asked: Awaitable[Result]) -> Result:
        try:
            return await asked
        except TierFailed as error:
            raise FactsFailed(str(error)) from error

    def _stays(self, failure: Failure, entry: Entry) -> None:
        failure.trap(TierFailed)
        self._log.warn("the object store keeps wrong bytes of {entry}: {error}", entry=entry, error=failure.value)


class TierSigner:
    """Makes URLs of what the object store has (pullthrough.redirecting.Signer); ``given`` counts them.

    Arguments:
        tier: the object store.
        seconds: for which a URL is good.
        clock: the time.
    """

    def __init__(self, tier: Tier, seconds: float, clock: IReactorTime) -> None:
        self.given = 0
        self._tier = tier
        self._seconds = seconds
        self._clock = clock
        # Until when it is believed that the store has some content.
        self._there: dict[Entry, float] = {}

    async def url(self, entry: Entry) -> str | None:
        """Return a URL (Signer)."""
        try:
            if not await self._is_there(entry):
                return None
            url = await self._tier.sign(entry, self._seconds)
        except TierFailed:
            return None
        self.given += 1
        return url

    async def _is_there(self, entry: Entry) -> bool:
        now = self._clock.seconds()
        if now < self._there.get(entry, 0.0):
            return True
        if await self._tier.size(entry) is None:
            return False
        self._there[entry] = now + _BELIEVED_SECONDS
        drop_oldest(self._there)
        return True


def _tag_of(name: str) -> Tag | None:
    """Return the tag of that name; None where it is that of something else, such as a list."""
    try:
        return Tag.parse(name)
    except (RegistryError, ValueError):
        return None
