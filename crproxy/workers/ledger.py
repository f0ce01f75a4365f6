"""Numbers, levels and records that all workers of a daemon see, in memory that they share.

LMDB: a change is whole or not there, whoever dies in the middle of it, and takes 5 us; a look takes 1.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import lmdb
from twisted.logger import Logger

from ..sharing.bounding import KEPT
from ..sharing.levels import drained

__all__ = ["Ledger", "key_of"]

Result = TypeVar("Result")

# Bytes of what is kept; and those of the file, which holds older versions, too, as long as somebody looks at them.
_MOST = 64 * 1024 * 1024
_SIZE = 4 * _MOST
# Changes between two looks at how much it is.
_CHANGES = 256
# LMDB's own limit for a key is 511.
_LONGEST_KEY = 500
_NUMBERS, _LEVELS, _RECORDS = b"n", b"l", b"r"
_LEVEL = struct.Struct("<ddd")
# The rate of a level that drains at once.
_AT_ONCE = -1.0


class Ledger:
    """What the workers agree on.

    Arguments:
        directory: where it lies.
        slot: which worker this is, from 0 on.
        slots: how many there are.
    """

    _log = Logger()

    def __init__(self, directory: Path, slot: int, slots: int) -> None:
        # Nothing of it outlives the daemon, so nothing need be on disk. Pages are written, not mapped for writing: a
        # full file system is an error then, not a signal that ends the process.
        self._environment = lmdb.open(
            str(directory), map_size=_SIZE, subdir=True, sync=False, metasync=False, mode=0o600, max_readers=1024
        )
        self.directory = directory
        self._everything = self._environment.open_db()
        self._numbers = struct.Struct(f"<{slots}q")
        self._nobody = (0,) * slots
        self._slot = slot
        self._changes = 0

    def close(self) -> None:
        """Look at it no more."""
        self._environment.close()

    def forget_slot(self) -> None:
        """Take away what a worker that is gone had counted in this one's place."""

        def forget(transaction: lmdb.Transaction) -> None:
            for key, value in list(_below(transaction, _NUMBERS)):
                self._put_numbers(transaction, key, self._without_own(value))

        # What the dead were looking at would be kept for them for good.
        self._environment.reader_check()
        try:
            self._write(forget)
        except lmdb.Error as error:
            self._tell(str(error))

    def tidy(self, now: float) -> None:
        """Forget what has drained by ``now`` (seconds), and of each kind of records those that are too many."""

        def tidy(transaction: lmdb.Transaction) -> None:
            for key in gone:
                transaction.delete(key)

        self._environment.reader_check()
        with self._environment.begin() as transaction:
            kinds: dict[bytes, list[bytes]] = {}
            for key, _ in _below(transaction, _RECORDS):
                kinds.setdefault(key.partition(b"\0")[0], []).append(key)
            gone = [key for keys in kinds.values() for key in keys[: max(0, len(keys) - KEPT)]]
            for key, value in _below(transaction, _LEVELS):
                content, rate, since = _LEVEL.unpack(value)
                if not drained(content, None if rate == _AT_ONCE else rate, now - since):
                    gone.append(key)
        self._change(tidy)

    # Numbers

    def number(self, key: bytes) -> int:
        """Return the number, of all workers."""
        return self._look(lambda transaction: self._sum(transaction.get(_NUMBERS + key)), 0)

    def _sum(self, value: Any) -> int:
        return 0 if value is None else sum(self._numbers.unpack(value))

    def names(self, kind: bytes) -> int:
        """Return how many numbers there are whose keys begin with ``kind``."""
        return self._look(lambda transaction: sum(1 for _ in _below(transaction, _NUMBERS + kind)), 0)

    def add(self, key: bytes, number: int) -> int:
        """Add to this worker's number, which stays 0 or more; return that of all workers then."""

        def add(transaction: lmdb.Transaction) -> int:
            value = transaction.get(_NUMBERS + key)
            numbers = list(self._nobody if value is None else self._numbers.unpack(value))
            numbers[self._slot] = max(0, numbers[self._slot] + number)
            self._put_numbers(transaction, _NUMBERS + key, numbers)
            return sum(numbers)

        return self._change(add)

    def claim(self, key: bytes) -> bool:
        """Add 1 to this worker's number, unless another has any; tell which."""

        def claim(transaction: lmdb.Transaction) -> bool:
            value = transaction.get(_NUMBERS + key)
            numbers = list(self._nobody if value is None else self._numbers.unpack(value))
            if sum(numbers) != numbers[self._slot]:
                return False
            numbers[self._slot] += 1
            self._put_numbers(transaction, _NUMBERS + key, numbers)
            return True

        return self._change(claim)

    def _without_own(self, value: bytes) -> list[int]:
        numbers = list(self._numbers.unpack(value))
        numbers[self._slot] = 0
        return numbers

    def _put_numbers(self, transaction: lmdb.Transaction, key: bytes, numbers: list[int]) -> None:
        if any(numbers):
            transaction.put(key, self._numbers.pack(*numbers))
        else:
            transaction.delete(key)

    # Levels

    def fill(self, key: bytes, amount: float, rate: float | None, now: float, most: float) -> float:
        """Let a level drain, then add to it (crproxy.sharing.Level)."""

        def fill(transaction: lmdb.Transaction) -> float:
            value = transaction.get(_LEVELS + key)
            content, _, since = (0.0, 0.0, now) if value is None else _LEVEL.unpack(value)
            # Another worker's look at the clock may be the later one.
            content = drained(content, rate, max(0.0, now - since))
            filled = content + amount
            left = filled if filled <= most else content
            if left:
                transaction.put(_LEVELS + key, _LEVEL.pack(left, _AT_ONCE if rate is None else rate, max(now, since)))
            elif value is not None:
                transaction.delete(_LEVELS + key)
            return filled

        return self._change(fill) if amount else self._level(key, rate, now)

    def _level(self, key: bytes, rate: float | None, now: float) -> float:
        def look(transaction: lmdb.Transaction) -> float:
            value = transaction.get(_LEVELS + key)
            if value is None:
                return 0.0
            content, _, since = _LEVEL.unpack(value)
            return drained(content, rate, max(0.0, now - since))

        return self._look(look, 0.0)

    # Records

    def get(self, key: bytes) -> Any:
        """Return the value; None where there is none."""
        value = self._look(lambda transaction: transaction.get(_RECORDS + key), None)
        return None if value is None else pickle.loads(value)[1]  # noqa: S301 - written by workers of this daemon

    def put(self, key: bytes, name: Any, value: Any) -> None:
        """Have ``value`` be the one that is called ``name``."""
        content = pickle.dumps((name, value))
        self._change(lambda transaction: transaction.put(_RECORDS + key, content))

    def drop(self, key: bytes) -> None:
        """Have none."""
        self._change(lambda transaction: transaction.delete(_RECORDS + key))

    def all(self, kind: bytes) -> dict[Any, Any]:
        """Return all records whose keys begin with ``kind``, by their names."""
        nothing: list[bytes] = []
        found = self._look(lambda transaction: [value for _, value in _below(transaction, _RECORDS + kind)], nothing)
        return dict(pickle.loads(value) for value in found)  # noqa: S301 - written by workers of this daemon

    def _look(self, by: Callable[[lmdb.Transaction], Result], otherwise: Result) -> Result:
        """Return what ``by`` finds; ``otherwise`` where nothing can be looked at."""
        try:
            with self._environment.begin() as transaction:
                return by(transaction)
        except lmdb.Error as error:
            self._tell(str(error))
            return otherwise

    def _change(self, by: Callable[[lmdb.Transaction], Result]) -> Result:
        self._changes += 1
        try:
            if self._changes % _CHANGES == 0 and self._bytes_used() > _MOST:
                self._forget()
            return self._write(by)
        except lmdb.Error as error:
            # There is no room for the file: it is as if nothing of it had ever been counted.
            self._tell(str(error))
            return by(_NOTHING)

    def _write(self, by: Callable[[lmdb.Transaction], Result]) -> Result:
        with self._environment.begin(write=True) as transaction:
            return by(transaction)

    def _forget(self) -> None:
        """Forget levels and records, to the advantage of those for whom they were kept."""

        def forget(transaction: lmdb.Transaction) -> None:
            numbers = list(_below(transaction, _NUMBERS))
            # A page after the other, that takes room, too: all at once it takes next to none.
            transaction.drop(self._everything, delete=False)
            for key, value in numbers:
                transaction.put(key, value)

        self._tell("it would be too much")
        self._write(forget)

    def _bytes_used(self) -> int:
        found = self._environment.stat()
        return (found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"]) * found["psize"]

    def _tell(self, why: str) -> None:
        self._log.warn("some of what the workers have in common is forgotten: {why}", why=why)


class _Nothing:
    """What a change finds and leaves where there is no room for anything."""

    def get(self, key: bytes) -> None:
        return None

    def put(self, key: bytes, value: bytes) -> None:
        pass

    def delete(self, key: bytes) -> None:
        pass


_NOTHING: Any = _Nothing()


@functools.lru_cache(maxsize=4096)
def key_of(what: str, name: str) -> bytes:
    """Return the key of ``name`` among what is called ``what``."""
    key = f"{what}\0{name}".encode("utf-8", "surrogateescape")
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{what}\0".encode() + hashlib.blake2b(key, digest_size=32).digest()


def _below(transaction: lmdb.Transaction, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    with transaction.cursor() as cursor:
        if not cursor.set_range(prefix):
            return
        for found, value in cursor:
            key = bytes(found)
            if not key.startswith(prefix):
                return
            yield key, bytes(value)
