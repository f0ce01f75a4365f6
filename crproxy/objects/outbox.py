"""What is still to be uploaded: on disk, so that neither a restart nor a store that is away loses any of it.

LMDB: several workers put, one takes. A thing that is put again takes the place of itself, behind all others; so what
was taken and put anew meanwhile is not over when the older one is. Blocking: a change waits for the disk, and is a
thread's work.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import lmdb
from twisted.logger import Logger

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.names import Registry
from ..store.entries import Entry

__all__ = ["Came", "Draft", "Item", "Outbox", "Tally"]

Result = TypeVar("Result")

# Things that may wait; beyond, nothing new is taken in. With 1 KiB for each there is room for twice as many.
_MOST = 100_000
_SIZE = 256 * 1024 * 1024
_NUMBER = struct.Struct(">Q")
_TOTAL = struct.Struct("<q")
_BYTES, _LAST, _UPLOADED_BYTES, _TROUBLE = b"bytes", b"last", b"uploaded bytes", b"trouble"
# Of what is told of an error.
_LONGEST = 300


class Came(Enum):
    """What has come of a thing; the value is what its number is kept by."""

    UPLOADED = b"uploaded"
    THERE_BEFORE = b"there before"
    GIVEN_UP = b"given up"


@dataclass(frozen=True, slots=True)
class Tally:
    """What has come of all things so far, and why the last of them did not go on.

    Arguments:
        uploaded, there_before, given_up: how many things, content or not.
        uploaded_bytes: of the first.
        trouble: None where the last went well.
    """

    uploaded: int = 0
    uploaded_bytes: int = 0
    there_before: int = 0
    given_up: int = 0
    trouble: str | None = None

    def since(self, earlier: Tally) -> Tally:
        """Return what has come after ``earlier``."""
        return Tally(
            self.uploaded - earlier.uploaded,
            self.uploaded_bytes - earlier.uploaded_bytes,
            self.there_before - earlier.there_before,
            self.given_up - earlier.given_up,
            self.trouble,
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """Something that is to be done to the object store.

    Arguments:
        key: of the object.
        size: bytes of what is to be uploaded.
        entry: the content on disk that is to be there; None where it is no content.
        content: what is to be in a small object; None, without an entry, has the object removed.
    """

    key: str
    size: int = 0
    entry: Entry | None = None
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Item(Draft):
    """Such a thing as it was taken out; ``number`` says where it stood."""

    number: int = 0


class Outbox:
    """The outbox of one data directory.

    ``lost`` counts the things that there was no room for.

    Arguments:
        directory: where it lies; made where it is not there.
        most: how many things may wait.

    Raises:
        OSError, lmdb.Error: it cannot be made or opened. What is damaged is set aside first.
    """

    _log = Logger()

    def __init__(self, directory: Path, most: int = _MOST) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lost = 0
        self._most = most
        self._is_full = False
        try:
            self._open(directory)
        except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.PageNotFoundError) as error:
            aside = _set_aside(directory)
            self._log.error(
                "the outbox {path} is damaged ({error}): it was set aside as {aside}",
                path=str(directory),
                error=error,
                aside=aside.name,
            )
            self._open(directory)

    def _open(self, directory: Path) -> None:
        # One wait for the disk a change: the last of them may be lost with the power, all others are whole.
        environment = lmdb.open(str(directory), map_size=_SIZE, max_dbs=3, mode=0o600, metasync=False, max_readers=1024)
        try:
            self._items = environment.open_db(b"items")
            self._order = environment.open_db(b"order")
            self._totals = environment.open_db(b"totals")
        except BaseException:
            environment.close()
            raise
        self._environment = environment
        # What the dead were looking at would be kept for them for good.
        environment.reader_check()

    def close(self) -> None:
        """Look at it no more."""
        self._environment.close()

    def put(self, drafts: Iterable[Draft]) -> None:
        """Take these in, each in the place of what there is of its key. What there is no room for is lost, and said so.

        Raises nothing: whoever keeps the cache goes on without.
        """
        wanted = list(drafts)
        if not wanted:
            return

        def put(change: lmdb.Transaction) -> int:
            return sum(not self._put(change, draft) for draft in wanted)

        try:
            lost = self._change(put)
        except lmdb.Error as error:
            self._tell_full(len(wanted), str(error))
            return
        if lost:
            self._tell_full(lost, f"{self._most} wait already")
        else:
            self._is_full = False

    def take(self, limit: int, besides: Collection[str] = (), contents: int = 1 << 30) -> list[Item]:
        """Return up to ``limit`` things, those first that wait for longest. They stay until they are `done`.

        Arguments:
            besides: keys of what is passed over.
            contents: how many of them may be content.
        """
        found: list[Item] = []
        try:
            with self._environment.begin() as look:
                for item in self._waiting(look):
                    if len(found) >= limit:
                        break
                    if item.key in besides or (item.entry is not None and contents <= 0):
                        continue
                    contents -= item.entry is not None
                    found.append(item)
        except lmdb.Error as error:
            self._log.warn("the outbox cannot be read: {error}", error=error)
        return found

    def done(self, item: Item, came: Came = Came.UPLOADED) -> None:
        """Forget what was taken; not where it was put anew meanwhile. Raises lmdb.Error.

        Arguments:
            came: is counted.
        """

        def done(change: lmdb.Transaction) -> None:
            self._add(change, came.value, 1)
            if came is Came.UPLOADED:
                self._add(change, _UPLOADED_BYTES, item.size)
            if came is not Came.GIVEN_UP:
                change.delete(_TROUBLE, db=self._totals)
            name = _name_of(item.key)
            record = change.get(name, db=self._items)
            if record is not None and _read(record).get("number") == item.number:
                self._drop(change, name, record)

        self._change(done)

    def put_back(self, item: Item, why: str = "") -> None:
        """Let all others have their turn before what was taken, if it was not put anew meanwhile. Raises lmdb.Error.

        Arguments:
            why: is told those who wait.
        """

        def put_back(change: lmdb.Transaction) -> None:
            if why:
                change.put(_TROUBLE, why[:_LONGEST].encode(), db=self._totals)
            record = change.get(_name_of(item.key), db=self._items)
            if record is not None and _read(record).get("number") == item.number:
                self._put(change, item)

        self._change(put_back)

    def has(self, key: str) -> bool:
        """Tell whether something is still to be done to an object."""
        try:
            with self._environment.begin() as look:
                return look.get(_name_of(key), db=self._items) is not None
        except lmdb.Error:
            return False

    def waiting(self) -> tuple[int, int]:
        """Return how many things wait, and how many bytes of them are to be uploaded."""
        try:
            with self._environment.begin() as look:
                return look.stat(self._order)["entries"], self._total(look, _BYTES)
        except lmdb.Error:
            return 0, 0

    def tally(self) -> Tally:
        """Return what has come of all things so far, in earlier runs, too."""
        try:
            with self._environment.begin() as look:
                trouble = look.get(_TROUBLE, db=self._totals)
                return Tally(
                    self._total(look, Came.UPLOADED.value),
                    self._total(look, _UPLOADED_BYTES),
                    self._total(look, Came.THERE_BEFORE.value),
                    self._total(look, Came.GIVEN_UP.value),
                    None if trouble is None else bytes(trouble).decode("utf-8", "replace"),
                )
        except lmdb.Error:
            return Tally()

    def _put(self, change: lmdb.Transaction, draft: Draft) -> bool:
        name = _name_of(draft.key)
        before = change.get(name, db=self._items)
        if before is not None:
            self._drop(change, name, before)
        elif change.stat(self._order)["entries"] >= self._most:
            return False
        number = self._total(change, _LAST) + 1
        change.put(name, _written(draft, number), db=self._items)
        change.put(_NUMBER.pack(number), name, db=self._order)
        change.put(_LAST, _TOTAL.pack(number), db=self._totals)
        self._add_bytes(change, draft.size)
        return True

    def _drop(self, change: lmdb.Transaction, name: bytes, record: bytes | memoryview) -> None:
        fields = _read(record)
        change.delete(name, db=self._items)
        change.delete(_NUMBER.pack(fields.get("number", 0)), db=self._order)
        self._add_bytes(change, -fields.get("size", 0))

    def _add_bytes(self, change: lmdb.Transaction, size: int) -> None:
        self._add(change, _BYTES, size)

    def _add(self, change: lmdb.Transaction, name: bytes, number: int) -> None:
        change.put(name, _TOTAL.pack(max(0, self._total(change, name) + number)), db=self._totals)

    def _total(self, look: lmdb.Transaction, name: bytes) -> int:
        value = look.get(name, db=self._totals)
        return 0 if value is None else int(_TOTAL.unpack(value)[0])

    def _waiting(self, look: lmdb.Transaction) -> Iterator[Item]:
        with look.cursor(self._order) as cursor:
            for _, name in cursor:
                record = look.get(name, db=self._items)
                item = None if record is None else _item(_read(record))
                if item is not None:
                    yield item

    def _change(self, by: Callable[[lmdb.Transaction], Result]) -> Result:
        with self._environment.begin(write=True) as change:
            return by(change)

    def _tell_full(self, lost: int, why: str) -> None:
        self.lost += lost
        if not self._is_full:
            self._is_full = True
            self._log.warn("{count} things will not be uploaded, nor will others be: {why}", count=lost, why=why)


def _name_of(key: str) -> bytes:
    # LMDB's own limit for a key is 511 bytes.
    return hashlib.blake2b(key.encode(), digest_size=32).digest()


def _written(draft: Draft, number: int) -> bytes:
    fields: dict[str, Any] = {"key": draft.key, "number": number, "size": draft.size}
    if draft.entry is not None:
        fields["digest"] = str(draft.entry.digest)
        fields["pool"] = None if draft.entry.pool is None else draft.entry.pool.name
    if draft.content is not None:
        fields["content"] = draft.content.decode("latin-1")
    return json.dumps(fields).encode()


def _read(record: bytes | memoryview) -> dict[str, Any]:
    # Written by this program, on this disk: what is damaged all the same is nothing to be uploaded.
    with suppress(ValueError):
        fields = json.loads(bytes(record))
        if isinstance(fields, dict):
            return fields
    return {}


def _item(fields: dict[str, Any]) -> Item | None:
    try:
        entry = None
        if "digest" in fields:
            pool = fields["pool"]
            entry = Entry(Digest.parse(fields["digest"]), None if pool is None else Registry(pool))
        content = fields.get("content")
        written = None if content is None else content.encode("latin-1")
        return Item(fields["key"], fields["size"], entry, written, fields["number"])
    except (KeyError, AttributeError, RegistryError):
        return None


def _set_aside(directory: Path) -> Path:
    for number in range(1000):
        aside = directory.with_name(f"{directory.name}.damaged-{number}")
        if not aside.exists():
            directory.rename(aside)
            directory.mkdir(mode=0o700)
            return aside
    raise OSError(f"{directory} is damaged, and so were a thousand before it")
