"""What all nodes of a fleet note and keep, in memory (crproxy.pullthrough.recall.Facts, crproxy.flights.tiers)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.flights.tiers import SourceFailed
from crproxy.oci.digests import Digest
from crproxy.pullthrough.recall import FactsFailed
from crproxy.store.entries import Entry, View
from crproxy.store.notes import Link, TagEntry
from crproxy.store.store import Store
from crproxy.upstream.answers import Streamed
from tests.sources import HandBody

__all__ = ["HandCommons"]


@dataclass(eq=False)
class HandCommons:
    """Has what the test puts in; fails where it is ``away``; its answers wait for ``waiting``."""

    clock: Clock
    tags: dict[tuple[View, str], TagEntry] = field(default_factory=dict)
    links: dict[tuple[View, Digest], Link] = field(default_factory=dict)
    contents: dict[Entry, bytes] = field(default_factory=dict)
    away: bool = False
    waiting: Deferred[None] | None = None
    asked: list[str] = field(default_factory=list)
    blamed: list[Entry] = field(default_factory=list)

    def take_all_of(self, store: Store, view: View, *names: str) -> None:
        """Have what a node's store has: content that ``view`` may have, and its tags and lists."""
        for entry, _ in store.index.after(None, 1000):
            content, link = store.read(entry), store.index.linked(view, entry.digest)
            assert content is not None
            self.contents[entry] = content
            if link is not None:
                self.links[view, entry.digest] = link
        for name in names:
            tagged = store.index.tagged(view, name)
            assert tagged is not None
            self.tags[view, name] = tagged

    async def _hear(self, what: str) -> None:
        self.asked.append(what)
        if self.waiting is not None:
            await self.waiting
        if self.away:
            raise FactsFailed("it is away")

    async def tag(self, view: View, name: str) -> TagEntry | None:
        await self._hear(f"tag {name}")
        return self.tags.get((view, name))

    async def views(self, digest: Digest) -> Collection[View]:
        await self._hear("views")
        return {view for view, linked in self.links if linked == digest}

    async def link(self, view: View, digest: Digest) -> Link | None:
        await self._hear("link")
        return self.links.get((view, digest))

    async def content(self, entry: Entry) -> bytes | None:
        await self._hear("content")
        return self.contents.get(entry)

    async def size(self, entry: Entry) -> int | None:
        await self._hear("size")
        content = self.contents.get(entry)
        return None if content is None else len(content)

    async def open(self, entry: Entry, start: int, stop: int | None) -> Streamed | None:
        self.asked.append(f"open {start}")
        if self.away:
            raise SourceFailed("it is away")
        if entry not in self.contents:
            return None
        content = self.contents[entry]
        end = len(content) if stop is None else stop
        body = _Sent(content[start:end], self.clock)
        return Streamed(206, {"content-range": f"bytes {start}-{end - 1}/{len(content)}"}, cast(Any, body))

    def blame(self, entry: Entry) -> None:
        self.blamed.append(entry)


class _Sent(HandBody):
    """A body that is sent when the clock is moved on, if only by nothing."""

    def __init__(self, content: bytes, clock: Clock) -> None:
        super().__init__(len(content), clock)
        self._content = content

    def join(self, consumer: Any) -> Deferred[None]:
        self._clock.callLater(0, self._send_all)
        return super().join(consumer)

    def _send_all(self) -> None:
        if not self.stopped:
            self.send(self._content)
        if not self.stopped:
            self.end()
