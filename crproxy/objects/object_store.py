"""An object store by way of obstore: objects are looked at, read, written, listed, removed, and signed for.

obstore blocks, so each call is a thread's: its own asynchronous calls need asyncio's loop, and cost as much. Bytes are
what the store says they are: who takes them checks them. What is uploaded is checked here, on its way.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import obstore
from obstore.exceptions import BaseError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..oci.digests import Digest, Verifier
from ..policy.redaction import redacted
from ..store.blobs import WrongContent
from ..store.filling import Threads
from ..upstream.client import Streamed
from .errors import NotThere, Stopped, TierFailed, Unreadable
from .opening import Stores
from .ranged_body import RangedBody
from .reachability import Reachability

__all__ = ["Listed", "ObjectStore"]

Result = TypeVar("Result")

# Bytes that come with the first answer.
_FIRST = 1024 * 1024
# Bytes of a part of an upload, of which so many are under way: with the one that is read, 24 MiB in memory. S3 takes
# 10,000 parts of one object.
_PART, _AT_ONCE, _MOST_PARTS = 8 * 1024 * 1024, 2, 9_000
# Objects that come with one answer of a listing.
_BATCH = 1000
# What is said of an error, of which obstore tells more than anybody reads.
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as it is listed.

    Arguments:
        key: its name, below the prefix of the store.
        size: its bytes.
        modified: when it was written, by the store's clock; seconds since the epoch.
    """

    key: str
    size: int
    modified: float


class ObjectStore:
    """One object store. Each call raises TierFailed where it could not be asked, and what else is said of it.

    Arguments:
        stores: obstore's.
        threads: runs what blocks, for seconds where the store does not answer: a pool of its own is best.
        clock: the time.
    """

    def __init__(self, stores: Stores, threads: Threads, clock: IReactorTime) -> None:
        self._stores = stores
        self._threads = threads
        self._reachability = Reachability(clock)

    @property
    def is_up(self) -> bool:
        """Whether it is worth asking: False for some seconds after it could not be reached."""
        return self._reachability.is_up

    async def head(self, key: str) -> Listed | None:
        """Return what is known of an object; None where there is none."""
        try:
            return _listed(await self._ask(obstore.head, self._stores.reading, key))
        except NotThere:
            return None

    async def open(
        self, key: str, start: int, stop: int | None, is_read: Callable[[], object] = lambda: None
    ) -> Streamed:
        """Return the bytes from ``start`` up to ``stop``, or to the end, as an answer of 200 or 206.

        Arguments:
            is_read: is called whenever some of them are there.

        Raises:
            NotThere: there is no such object.
            TierFailed: it has no byte at ``start``, besides.
        """
        until = start + _FIRST if stop is None else min(stop, start + _FIRST)
        size, first = await self._ask(self._begin, key, start, until)
        if start > size or (start == size > 0):
            raise TierFailed(f"the object has {size} bytes, and none at {start}")
        end = size if stop is None else min(stop, size)

        def fetch(one: int, other: int) -> Deferred[Any]:
            is_read()
            return self._fetch(key, one, other)

        is_read()
        body = RangedBody(fetch, start, end, first)
        headers = {"content-length": str(end - start)}
        if start == 0 and stop is None:
            return Streamed(200, headers, body)
        return Streamed(206, {**headers, "content-range": f"bytes {start}-{end - 1}/{size}"}, body)

    async def read(self, key: str, limit: int) -> bytes:
        """Return all of a small object.

        Raises:
            NotThere: there is no such object.
            TierFailed: it has more than ``limit`` bytes, besides.
        """
        size, content = await self._ask(self._begin, key, 0, limit + 1)
        if size > limit:
            raise TierFailed(f"the object {key} has {size} bytes, where {limit} are the most")
        return bytes(content)

    async def put(self, key: str, content: bytes) -> None:
        """Write a small object, in the place of another of this name."""
        await self._ask(_put, self._stores.writing, key, content)

    async def put_file(self, key: str, fd: int, digest: Digest, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Upload a file, which is checked on its way: nothing of other bytes is to be found there.

        Arguments:
            fd: of the file, open until this is over: what is dropped from the disk meanwhile can still be read.
            digest: what its bytes are.
            goes_on: tells, in a thread, whether to go on.

        Raises:
            WrongContent: they are others.
            Unreadable: the disk fails.
            Stopped: ``goes_on`` says no.
        """
        await self._ask(_put_file, self._stores.writing, key, fd, digest, goes_on)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, those that are not there included."""
        await self._ask(_delete, self._stores.writing, list(keys), self._stores.signs)

    async def list(self, prefix: str) -> AsyncIterator[list[Listed]]:
        """Give all objects whose keys begin with ``prefix`` and a slash, in no order, some at a time."""
        found = await self._ask(lambda: iter(obstore.list(self._stores.reading, prefix, chunk_size=_BATCH)))
        while batch := await self._ask(next, found, None):
            yield [_listed(one) for one in batch]

    async def sign(self, key: str, seconds: float, method: str = "GET") -> str:
        """Return a URL by which anybody may ask for the object so long, with this method and no other."""
        if not self._stores.signs:
            raise TierFailed("this store has no URLs")
        # A thread's, too: who has a role instead of a key asks for a key now and then.
        store: Any = self._stores.reading
        signed = await self._ask(obstore.sign, store, method, key, timedelta(seconds=seconds))
        return str(signed)

    def _begin(self, key: str, start: int, stop: int) -> tuple[int, Any]:
        """Return the size of an object, and its bytes from ``start`` up to ``stop``, none where it has none there."""
        store = self._stores.reading
        try:
            result = obstore.get(store, key, options={"range": (start, stop)})
        except BaseError as error:
            # Of an object without a byte none can be asked for: 416 (RFC 9110, 15.5.17).
            if "416" not in str(error) and "range" not in str(error).lower():
                raise
            size = obstore.head(store, key)["size"]
            if size > start:
                raise
            return size, b""
        if result.range[0] != start:
            raise TierFailed(f"the object store sent another range of {key} than was asked for")
        return result.meta["size"], result.bytes()

    def _fetch(self, key: str, start: int, stop: int) -> Deferred[Any]:
        return Deferred.fromCoroutine(
            self._ask(lambda: obstore.get_range(self._stores.reading, key, start=start, end=stop))
        )

    async def _ask(self, work: Callable[..., Result], *args: Any) -> Result:
        """Return what ``work(*args)`` does in a thread, and take note of how the store is."""
        self._reachability.begin()
        try:
            result: Result = await self._threads(_translated, work, *args)
        except TierFailed as error:
            self._reachability.failed(error)
            raise
        except NotThere:
            self._reachability.answered()
            raise
        except BaseException:
            self._reachability.left()
            raise
        self._reachability.answered()
        return result


def _translated(work: Callable[..., Result], *args: Any) -> Result:
    """Do ``work(*args)``, and have its errors be ours."""
    try:
        return work(*args)
    except FileNotFoundError:
        raise NotThere("there is no such object") from None
    except (BaseError, OSError, ValueError) as error:
        lines = redacted(str(error)).splitlines() or [type(error).__name__]
        raise TierFailed(lines[0].strip()[:_LONGEST]) from None


def _put(store: Any, key: str, content: bytes) -> None:
    try:
        obstore.put(store, key, content, use_multipart=False)
    except FileNotFoundError:
        raise TierFailed("its bucket is not there") from None


def _put_file(store: Any, key: str, fd: int, digest: Digest, goes_on: Callable[[], bool]) -> None:
    size = _size_of(fd)
    part = max(_PART, -(-size // _MOST_PARTS))
    pieces = _checked(fd, size, part, digest, goes_on)
    if size <= part:
        _put(store, key, b"".join(pieces))
        return
    try:
        obstore.put(store, key, pieces, chunk_size=part, max_concurrency=_AT_ONCE)
    except FileNotFoundError:
        raise TierFailed("its bucket is not there") from None


def _size_of(fd: int) -> int:
    try:
        return os.fstat(fd).st_size
    except OSError as error:
        raise Unreadable(str(error)) from None


def _checked(fd: int, size: int, part: int, digest: Digest, goes_on: Callable[[], bool]) -> Iterator[bytes]:
    """Give the bytes of a file, the last of them only when all are known to be right: till then there is no object."""
    verifier, held = Verifier(digest, size), b""
    for start in range(0, size, part):
        if not goes_on():
            raise Stopped("it is not wanted any more")
        if held:
            yield held
        held = _read(fd, start, min(part, size - start))
        verifier.update(held)
    if not verifier.matches():
        raise WrongContent(f"the bytes on disk are not those of {digest}")
    yield held


def _read(fd: int, start: int, length: int) -> bytes:
    pieces, position = [], start
    while position < start + length:
        try:
            piece = os.pread(fd, start + length - position, position)
        except OSError as error:
            raise Unreadable(str(error)) from None
        if not piece:
            break
        pieces.append(piece)
        position += len(piece)
    return b"".join(pieces) if len(pieces) != 1 else pieces[0]


def _delete(store: Any, keys: Sequence[str], in_bulk: bool) -> None:
    if in_bulk:
        _delete_all(store, keys)
        return
    for key in keys:
        _delete_all(store, [key])


def _delete_all(store: Any, keys: Sequence[str]) -> None:
    try:
        obstore.delete(store, keys)
    except FileNotFoundError:
        # Azure and Google say so of one; the others are gone.
        if len(keys) > 1:
            for key in keys:
                _delete_all(store, [key])


def _listed(meta: Any) -> Listed:
    return Listed(meta["path"], meta["size"], meta["last_modified"].timestamp())
