"""What other nodes have noted and this one has not: taken up before a request is answered.

Whoever answers looks at the store and its index alone. What they do not know, such as on a new node with an empty disk,
is looked up where all nodes note it: tags, permissions, and the content of manifests and lists. Blobs come when they
are read (crproxy.flights.tiers).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..oci.digests import Digest
from ..oci.names import Reference, Tag
from ..policy.freshness import Freshness, Lifetimes, freshness
from ..sharing.bounding import drop_oldest
from ..store.entries import Entry, View
from ..store.notes import Link, TagEntry
from ..store.store import Store
from ..store.tag_history import TagHistory
from ..upstream.single_flight import SingleFlight

__all__ = ["Facts", "FactsFailed", "Recall"]

# Seconds after which a request goes on without what other nodes know.
_SECONDS = 2.0
# For which nobody is asked again what nobody knew.
_IN_VAIN_SECONDS = 10.0
# Is in the names of lists, and of what tags pointed to before, and in no tag.
_SEPARATOR = "/"

# Whose it is, and what.
_What = tuple[View, str]


class FactsFailed(Exception):
    """It cannot be told now what other nodes know; the message says why."""


class Facts(Protocol):
    """What all nodes note. Each raises FactsFailed."""

    async def tag(self, view: View, name: str) -> TagEntry | None:
        """Return where a tag pointed when one of them checked it last; None where none did."""

    async def views(self, digest: Digest) -> Collection[View]:
        """Return the views, some if there are many, through which upstream gave some content."""

    async def link(self, view: View, digest: Digest) -> Link | None:
        """Return the permission of ``view``; None where it has none."""

    async def content(self, entry: Entry) -> bytes | None:
        """Return content that is small, and is what its digest says; None where it is not kept."""

    async def size(self, entry: Entry) -> int | None:
        """Return the bytes of content that is kept."""


class Recall:
    """Takes up what is missing here.

    Arguments:
        facts: what all nodes note.
        store: what this one has.
        lifetimes: how long tags count.
        clock: for a limit.
        now: seconds since the epoch.
        history: keeps where tags point; one of its own by default.
    """

    _log = Logger()

    def __init__(
        self,
        facts: Facts,
        store: Store,
        lifetimes: Lifetimes,
        clock: IReactorTime,
        now: Callable[[], float],
        history: TagHistory | None = None,
    ) -> None:
        self._history = history or TagHistory(store.index, now)
        self._facts = facts
        self._store = store
        self._index = store.index
        self._lifetimes = lifetimes
        self._clock = clock
        self._now = now
        self._under_way: SingleFlight[_What, bool] = SingleFlight()
        # When it was that nobody knew more than is known here.
        self._in_vain: dict[_What, float] = {}

    async def named(self, view: View, name: str) -> bool:
        """Have what a tag or list of ``view`` leads to here, as far as any node knows; tell whether it is."""
        entry = self._index.tagged(view, name)
        if entry is not None and freshness(entry.checked, self._now(), self._lifetimes) is Freshness.FRESH:
            await self.content(view, entry.digest)
        else:
            await self._limited((view, name), lambda: self._recall_name(view, name))
        entry = self._index.tagged(view, name)
        return entry is not None and self._store.size(view.entry(entry.digest)) is not None

    async def at_once(self, view: View, reference: Reference) -> None:
        """Have a manifest here, though nobody knew more of it a moment ago."""
        if isinstance(reference, Tag):
            self._in_vain.pop((view, reference.name), None)
            await self.named(view, reference.name)
        else:
            self._in_vain.pop((view, f"content {reference}"), None)
            await self.content(view, reference)

    async def content(self, view: View, digest: Digest) -> None:
        """Have small content, and the permission of ``view`` to have it, here."""
        if self._index.linked(view, digest) is None or self._store.size(view.entry(digest)) is None:
            await self._limited((view, f"content {digest}"), lambda: self._recall_content(view, digest))

    async def permission(self, view: View, digest: Digest) -> None:
        """Have the permission of ``view`` here, or what it is judged by."""
        if self._index.linked(view, digest) is None:
            await self._limited((view, f"permission {digest}"), lambda: self._recall_permission(view, digest))

    async def size(self, entry: Entry) -> int | None:
        """Return the bytes of content that any node kept; None where that cannot be told."""
        try:
            return await Deferred.fromCoroutine(self._facts.size(entry)).addTimeout(_SECONDS, self._clock)
        except (FactsFailed, TookTooLong) as error:
            self._log.debug("the size of {entry} is not known: {error}", entry=entry, error=error)
            return None

    async def _limited(self, what: _What, recall: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Wait for it, though not for long: what fails is as if nobody knew anything."""
        if self._now() < self._in_vain.get(what, 0.0) + _IN_VAIN_SECONDS:
            return
        try:
            found = await _waited(self._under_way.run(what, recall)).addTimeout(_SECONDS, self._clock)
        except (FactsFailed, TookTooLong) as error:
            self._log.debug("{what} is not known: {error}", what=what[1], error=error)
            found = False
        if not found:
            self._in_vain[what] = self._now()
            drop_oldest(self._in_vain)

    async def _recall_name(self, view: View, name: str) -> bool:
        known, found = self._index.tagged(view, name), await self._facts.tag(view, name)
        is_newer = found is not None and (known is None or found.checked > known.checked)
        if found is not None and is_newer:
            self._point(view, name, found)
        newest = found if is_newer else known
        return newest is not None and (await self._recall_content(view, newest.digest) or is_newer)

    def _point(self, view: View, name: str, entry: TagEntry) -> None:
        if _SEPARATOR in name:
            # A list, or what a tag pointed to before.
            self._index.tag(view, name, entry.digest, entry.checked)
        else:
            self._history.point(view, Tag(name), entry.digest, entry.checked)

    async def _recall_content(self, view: View, digest: Digest) -> bool:
        is_new, entry = await self._recall_permission(view, digest), view.entry(digest)
        content = await self._facts.content(entry) if self._store.size(entry) is None else None
        if content is not None:
            await self._store.keep(entry, content)
        return is_new or content is not None

    async def _recall_permission(self, view: View, digest: Digest) -> bool:
        if self._index.linked(view, digest) is not None:
            return False
        link = await self._facts.link(view, digest)
        if link is not None:
            self._index.take_up(view, digest, link)
            return True
        views = await self._facts.views(digest)
        for lender in views:
            # Of others it counts only that they had it.
            if lender != view and self._index.linked(lender, digest) is None:
                self._index.take_up(lender, digest, Link())
        return bool(views)


def _waited(running: Awaitable[bool]) -> Deferred[bool]:
    async def wait() -> bool:
        return await running

    return Deferred.fromCoroutine(wait())
