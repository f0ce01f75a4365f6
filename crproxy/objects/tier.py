"""What the rest of the house sees of the object store: content by its digest, links and tags by view, as the store has.

Nothing in it is believed. `read` checks content against its digest here. What `open` gives nobody has checked: the
flight that takes it does, before its last byte is given out and before any of it is kept; it says `wrong` then, so that
the object goes. JSON that does not parse is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from twisted.logger import Logger

from ..oci.digests import Digest
from ..policy.object_keys import (
    LinkKey,
    links_below,
    parse_key,
    parse_link,
    parse_revoked,
    parse_tag,
)
from ..store.entries import Entry, View
from ..store.keys import view_of
from ..store.notes import NEVER, Link, TagEntry
from ..upstream.client import Streamed
from .errors import NotThere
from .naming import blob_key, link_key, link_of, revoked_key, tag_key, tag_of, view_names

if TYPE_CHECKING:
    from .object_store import ObjectStore

__all__ = ["ObjectTier", "Tier"]

Parsed = TypeVar("Parsed")

# Bytes of a manifest or a list, and those of a fact, at the most.
_LARGEST_READ = 20 * 1024 * 1024
_LARGEST_FACT = 16 * 1024
# Views that are looked at for one that may lend its permission.
_MOST_VIEWS = 64


class Tier(Protocol):
    """The second tier. All that is asked of it raises TierFailed where it cannot be asked."""

    @property
    def is_up(self) -> bool:
        """Whether it is worth asking: False for some seconds after it could not be reached."""

    async def size(self, entry: Entry) -> int | None:
        """Return the bytes of some content, as the store says; None where it has none."""

    async def open(self, entry: Entry, start: int, stop: int | None) -> Streamed:
        """Return bytes of some content, as an answer of 200 or 206, which nobody has checked.

        Raises:
            NotThere: it has none.
            TierFailed: besides, it ends before ``start``.
        """

    async def read(self, entry: Entry) -> bytes | None:
        """Return small content, checked against its digest; None where there is none, or something else."""

    async def wrong(self, entry: Entry) -> None:
        """Somebody has read all of some content, and it is something else: remove it."""

    async def link(self, view: View, digest: Digest) -> Link | None:
        """Return the permission of ``view`` to have ``digest``; None where it has none."""

    async def tag(self, view: View, name: str) -> TagEntry | None:
        """Return where a tag pointed when a node checked it last."""

    async def views(self, digest: Digest) -> set[View]:
        """Return the views, some if there are many, through which upstream gave the content to any node."""

    async def sign(self, entry: Entry, seconds: float, method: str = "GET") -> str:
        """Return a URL by which whoever has it may ask for some content with this method, so long."""


class ObjectTier:
    """The second tier, in ``objects`` (Tier).

    ``answers`` counts the contents that were read from it, in whole or in part, and ``bytes_received`` their bytes.

    Arguments:
        used: is told of what is read, or about to be.
    """

    _log = Logger()

    def __init__(self, objects: ObjectStore, used: Callable[[Entry], object] = lambda _: None) -> None:
        self.answers = self.bytes_received = 0
        self._objects = objects
        self._used = used
        self._has_complained = False

    @property
    def is_up(self) -> bool:
        """Whether it is worth asking (Tier)."""
        return self._objects.is_up

    async def size(self, entry: Entry) -> int | None:
        """Return the bytes of some content (Tier)."""
        found = await self._objects.head(blob_key(entry))
        if found is None:
            return None
        self._used(entry)
        return found.size

    async def open(self, entry: Entry, start: int, stop: int | None) -> Streamed:
        """Return bytes of some content (Tier)."""

        def received(number: int) -> None:
            self._received(number)
            self._used(entry)

        opened = await self._objects.open(blob_key(entry), start, stop, received)
        self.answers += 1
        return opened

    async def read(self, entry: Entry) -> bytes | None:
        """Return small content (Tier)."""
        try:
            content = await self._objects.read(blob_key(entry), _LARGEST_READ)
        except NotThere:
            return None
        self._received(len(content))
        if entry.digest.names(content):
            self.answers += 1
            self._used(entry)
            return content
        await self.wrong(entry)
        return None

    async def wrong(self, entry: Entry) -> None:
        """Remove what is something else (Tier)."""
        self._log.warn("the object store had other bytes for {entry}: the object is removed", entry=entry)
        await self._objects.delete([blob_key(entry)])

    async def link(self, view: View, digest: Digest) -> Link | None:
        """Return a permission (Tier). What was confirmed before upstream refused the view counts as never confirmed."""
        names = view_names(view)
        found = await self._fact(link_key(names, digest), parse_link)
        if found is None:
            return None
        link = link_of(found)
        if link.confirmed <= 0:
            return link
        revoked = await self._fact(revoked_key(names), parse_revoked)
        at = NEVER if revoked is None else revoked.at
        return replace(link, confirmed=0.0) if link.confirmed <= at else link

    async def tag(self, view: View, name: str) -> TagEntry | None:
        """Return where a tag pointed (Tier)."""
        found = await self._fact(tag_key(view_names(view), name), parse_tag)
        return None if found is None else tag_of(found)

    async def views(self, digest: Digest) -> set[View]:
        """Return the views that have a link (Tier)."""
        found: set[View] = set()
        async for batch in self._objects.list(links_below(digest)):
            keys = (parse_key(one.key) for one in batch)
            found.update(view_of(key.view.repository, key.view.credential) for key in keys if isinstance(key, LinkKey))
            if len(found) >= _MOST_VIEWS:
                break
        return found

    async def sign(self, entry: Entry, seconds: float, method: str = "GET") -> str:
        """Return a URL (Tier)."""
        self._used(entry)
        return await self._objects.sign(blob_key(entry), seconds, method)

    def _received(self, number: int) -> None:
        self.bytes_received += number

    async def _fact(self, key: str, parse: Callable[[bytes], Parsed | None]) -> Parsed | None:
        try:
            found = parse(await self._objects.read(key, _LARGEST_FACT))
        except NotThere:
            return None
        if found is None and not self._has_complained:
            self._has_complained = True
            self._log.warn("{key} in the object store cannot be read, and is passed over, as others may be", key=key)
        return found
