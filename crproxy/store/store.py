"""The cache as the rest of the house sees it: open, reserve, keep, look up.

Puts files and index together so that neither promises what the other does not have: a file is there before its row, and
a row goes before its file. Keeps all of it within its size: whole files, partial ones and the index's own rows.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..policy.eviction import to_drop
from ..policy.scrubbing import is_rot
from ..sharing import Alone, Sharing
from .activity import Activity
from .blobs import Blobs, PartialKey
from .checking import OTHER_BYTES, Checks
from .content import OpenContent
from .entries import Entry
from .filling import Threads
from .index import Index
from .memory import Memory
from .notes import Stored
from .partial_room import PartialRoom
from .uses import Uses

__all__ = ["Store"]

# Bytes of manifests that are held in memory.
_MEMORY = 32 * 1024 * 1024
# Rows looked at in one step of an eviction.
_STEP = 64
# Bytes of a file from which on a thread removes it: 1 GiB in the page cache takes some 100 ms.
_LARGE = 8 * 1024 * 1024


class Store:
    """One cache. ``evicted`` counts the contents that were dropped to make room, ``evicted_bytes`` their bytes.

    Arguments:
        blobs: its files.
        index: what is known of them.
        budget: bytes it may take on disk.
        threads: for blocking work.
        block: bytes that each file may take on disk beyond its own: without them, a cache of one-byte blobs would take
            thousands of times its size.
        sharing: has what the partial files of all workers take.
        activity: counts what is read by clients.
    """

    _log = Logger()

    def __init__(
        self,
        blobs: Blobs,
        index: Index,
        budget: int,
        threads: Threads,
        block: int = 0,
        sharing: Sharing | None = None,
        activity: Activity | None = None,
    ) -> None:
        sharing = sharing or Alone()
        self._is_alone = sharing.is_alone
        self.blobs = blobs
        self.index = index
        self.budget = budget
        self.evicted = self.evicted_bytes = 0
        self._threads = threads
        self._block = block
        self._partials = PartialRoom(block, sharing)
        # What other workers have dropped, and the index does not know yet: the bytes of each, block and all.
        self._gone: dict[Entry, int] = {}
        self._used = Uses(sharing)
        self._activity = activity
        self.checks = Checks(blobs, index, threads, self._drop)
        self._memory = Memory(_MEMORY)

    # What is kept

    def open(self, entry: Entry) -> OpenContent | None:
        """Return stored content, or None. A file of another size than is known is not content, and goes."""
        try:
            fd = self.blobs.open(entry)
        except OSError as error:
            # Too many files are open, or the disk fails: that says nothing of what is kept.
            self._log.warn("{entry} cannot be opened: {error}", entry=entry, error=error)
            self._look_closer(entry, error)
            return None
        size, kept = None if fd is None else os.fstat(fd).st_size, self.index.kept(entry)
        if not self._is_as_known(entry, size, kept) or fd is None or size is None:
            if fd is not None:
                os.close(fd)
            return None
        self._used.add(entry)
        on_error = functools.partial(self.checks.failed, entry, fd)
        return OpenContent(fd, size, self._is_unread(entry, kept), on_error, self._activity)

    def size(self, entry: Entry) -> int | None:
        """Return the bytes of stored content, or None. What is unread counts."""
        try:
            size = self.blobs.size(entry)
        except OSError as error:
            self._log.warn("{entry} cannot be looked at: {error}", entry=entry, error=error)
            return None
        return size if self._is_as_known(entry, size, self.index.kept(entry)) else None

    def is_unread(self, entry: Entry) -> bool:
        """Tell whether nobody has read stored content since it was found on disk: it must not be served so."""
        return self._is_unread(entry, self.index.kept(entry))

    async def read_first(self, entry: Entry) -> bool:
        """Return once what is on disk and unread was read: right, or dropped. False where neither can be had now."""
        try:
            is_right = await self.checks.check(entry)
        except OSError as error:
            self._log.warn("{entry} cannot be read: {error}", entry=entry, error=error)
            return False
        return is_right or self.size(entry) is None

    def _is_unread(self, entry: Entry, kept: Stored | None) -> bool:
        # What is not in the index may be of another worker, which has not written it down yet: that cannot be told.
        return (kept is None or kept.is_unread) and not self._partials.is_filling(entry)

    def _is_as_known(self, entry: Entry, found: int | None, kept: Stored | None) -> bool:
        """Tell whether a file of ``found`` bytes is what the index says; forget what is not."""
        if kept is None or found == kept.size:
            return found is not None
        if found is None:
            self._drop(entry, kept.size)
        else:
            self.checks.found_damaged(entry, found, f"it has {found} bytes, where {kept.size} were stored")
        return False

    def _look_closer(self, entry: Entry, error: OSError) -> None:
        """See whether it was for once that the disk could not read something."""
        if is_rot(error):
            Deferred.fromCoroutine(self.read_first(entry))

    def read(self, entry: Entry) -> bytes | None:
        """Return stored content that is small, or None. What is asked for often comes from memory."""
        content = self._memory.get(entry)
        if content is not None:
            self._used.add(entry)
            return content
        opened = self.open(entry)
        return None if opened is None else self._read(entry, opened)

    def _read(self, entry: Entry, opened: OpenContent) -> bytes | None:
        """Return opened content that is small, or None where it is damaged.

        Its digest is checked each time: 2 us for a usual manifest, 3 ms for the largest, and next time it is in memory.
        """
        with os.fdopen(opened.fd, "rb") as file:
            try:
                content = file.read()
            except OSError as error:
                if not self.checks.failed(entry, opened.fd, error):
                    self._log.warn("{entry} cannot be read: {error}", entry=entry, error=error)
                return None
            if not entry.digest.names(content):
                if self.blobs.is_the_one(entry, opened.fd):
                    self.checks.found_damaged(entry, len(content), OTHER_BYTES)
                return None
        if opened.is_unread:
            self.checks.found_right(entry, len(content))
        self._memory.put(entry, content)
        return content

    def keep(self, entry: Entry, content: bytes) -> Deferred[None]:
        """Store content that is in memory and matches its digest; fires when it is on disk, or cannot be."""
        self._memory.put(entry, content)
        key = PartialKey(entry)
        if not self.reserve(key, len(content)):
            self.release(key)
            self._log.warn("{entry} is not kept: there is no room for it", entry=entry)
            return succeed(None)
        return self._threads(self._write, key, content).addCallbacks(
            self._kept, self._not_kept, callbackArgs=(key, len(content)), errbackArgs=(key,)
        )

    def stored(self, entry: Entry, size: int) -> None:
        """Note that a file is whole and in its place, and was verified."""
        self.index.stored(entry, size)

    def drop(self, entry: Entry) -> None:
        """Remove stored content; who is reading it reads on."""
        self._drop(entry, self.index.size(entry) or 0)

    def note_use(self) -> None:
        """Write down what was used since the last time."""
        used = self._used.take()
        if used:
            self.index.used(used)

    # Room

    @property
    def taken(self) -> int:
        """Bytes that all of it takes of the budget."""
        files = self.index.contents() + self._partials.files
        partial = self._partials.bytes + self._partials.of_others
        stored = self.index.bytes_stored() - sum(self._gone.values())
        return stored + partial + self.index.row_bytes() + files * self._block

    @property
    def partial_bytes(self) -> int:
        """Bytes of what is not whole: what is being filled, and what was left behind."""
        return self._partials.bytes

    @property
    def filling(self) -> frozenset[PartialKey]:
        """What is being filled by this process."""
        return self._partials.filling

    def could_hold(self, size: int) -> bool:
        """Tell whether ``size`` bytes would fit if everything else went."""
        return size + self._block <= self.budget - self.index.row_bytes()

    def reserve(self, key: PartialKey, size: int) -> bool:
        """Tell whether a partial file may grow to ``size`` bytes, after dropping others where that helps.

        What is promised but does not come takes no room: ask for what is in hand. What nobody fills goes first, then
        what was not used for longest. `release` gives the room back.
        """
        had = self._partials.of(key) or self._partials.take_up(key)
        # Before it is known whether it fits: what two workers want at once, both must see.
        self._partials.fill(key, max(size, had))
        if size > had and not self._make_room(size - had):
            self._partials.fill(key, had)
            return False
        return True

    def release(self, key: PartialKey, left: int = 0) -> None:
        """The partial file is not filled any more; ``left`` bytes stay in it, for who takes it up again."""
        ended = self._partials.end(key)
        if left:
            self._partials.leave(key, left)
        if self._is_alone:
            self._partials.let_go(ended)
        elif ended:
            # What is whole by now: others count it once it is in the index's file, and not before.
            self.index.settled().addBoth(lambda _: self._partials.let_go(ended))
        if left:
            # Room was made for others meanwhile, as if it were whole soon.
            self.look_around()
            self._free(self.budget)

    def note_leftovers(self, found: dict[PartialKey, int]) -> None:
        """Count partial files that nobody fills, the oldest first, as they are on disk."""
        self._partials.find(found)

    def look_around(self) -> None:
        """Take in what other workers have stored, dropped, or left half done since the last look."""
        if not self._is_alone:
            self._refresh()
            found = sorted(self.blobs.partials(), key=lambda one: one[2])
            self._partials.find({key: size for key, size, _ in found if self.blobs.is_abandoned(key)})

    def _refresh(self) -> None:
        self.index.refresh()
        self._gone = {entry: size for entry, size in self._gone.items() if self.index.size(entry) is not None}

    def _catch_up(self) -> None:
        """Count what other workers have added; what they have dropped, where it matters."""
        if self._is_alone:
            return
        self._refresh()
        if self._partials.have_others_left() or self.taken > self.budget:
            self.look_around()

    def evict(self, budget: int) -> int:
        """Drop until ``budget`` bytes or less are taken; return how many whole contents went."""
        before = self.evicted
        self._catch_up()
        self._free(budget)
        return self.evicted - before

    def _make_room(self, size: int) -> bool:
        """Tell whether all that is counted fits, ``size`` bytes of which are new, after dropping what helps."""
        with self._partials.counting_others():
            self._catch_up()
            return self._make_room_for(size)

    def _make_room_for(self, size: int) -> bool:
        # What is being filled stays, so nothing goes in vain.
        if self._partials.taken_by_filling > self.budget - self.index.row_bytes():
            return False
        self._free(self.budget)
        while not self.blobs.room_for(size):
            if not self._free(self.taken - size):
                return False
        return self.taken <= self.budget

    def _free(self, budget: int) -> bool:
        """Drop until ``budget`` bytes or less are taken; tell whether anything went."""
        if self.taken <= budget:
            return False
        before = self.taken
        self._free_leftovers(budget)
        count = sum(1 for _ in self._evict(budget))
        if count:
            self._log.info("{count} blobs were dropped to make room", count=count)
        return self.taken < before

    def _free_leftovers(self, budget: int) -> None:
        over, keys = self.taken - budget, list[PartialKey]()
        for key, size in self._partials.leftovers():
            if over <= 0:
                break
            over -= size + self._block
            keys.append(key)
        for key in keys:
            self._partials.take_up(key)
        if keys:
            self._threads(self._discard, keys).addErrback(self._not_removed)

    def _evict(self, budget: int) -> Iterator[Entry]:
        """Drop whole contents, and give each."""
        while (over := self.taken - budget) > 0:
            found = self.index.oldest(_STEP + len(self._gone))
            oldest = [(entry, size) for entry, size in found if entry not in self._gone]
            # What was used since the index last heard of it is none of the oldest, unless nothing else is left.
            unused = [(entry, size) for entry, size in oldest if entry not in self._used]
            if not oldest:
                return
            if not unused:
                self.note_use()
                unused = oldest
            sizes = dict(unused)
            for entry in to_drop(over, 0, [(entry, size + self._block) for entry, size in unused]):
                if not self._is_alone and self.blobs.size(entry) is None:
                    self._gone[entry] = sizes[entry] + self._block
                    continue
                size = self.index.size(entry) or 0
                self._drop(entry, size)
                self.evicted += 1
                self.evicted_bytes += size
                yield entry

    def _drop(self, entry: Entry, size: int) -> None:
        self.index.dropped(entry)
        self._memory.forget(entry)
        if size < _LARGE:
            self.blobs.remove(entry)
            return
        # Out of its place at once, so that what comes anew is not what goes.
        removed = self.blobs.take_away(entry)
        if removed is not None:
            self._threads(removed.unlink, True).addErrback(self._not_removed)

    def _discard(self, keys: list[PartialKey]) -> None:
        for key in keys:
            # Another process may fill it again: then the lock is its.
            partial = self.blobs.begin(key.entry, key.origin)
            if partial is not None:
                partial.discard()
                partial.close()

    def _not_removed(self, failure: Failure) -> None:
        failure.trap(OSError)
        self._log.warn("what was dropped cannot be removed: {error}", error=failure.value)

    # Small contents

    def _kept(self, written: bool, key: PartialKey, size: int) -> None:
        if written:
            self.stored(key.entry, size)
        self.release(key)

    def _not_kept(self, failure: Failure, key: PartialKey) -> None:
        self.release(key)
        self._log.warn("{entry} is not kept: {why}", entry=key.entry, why=failure.getErrorMessage())

    def _write(self, key: PartialKey, content: bytes) -> bool:
        """Return whether the content is on disk by our doing; another process may be writing the same."""
        partial = self.blobs.begin(key.entry, key.origin)
        if partial is None:
            return False
        try:
            partial.reset()
            partial.append([content])
            partial.verify()
            partial.commit()
        except OSError:
            partial.discard()
            raise
        finally:
            partial.close()
        return True
