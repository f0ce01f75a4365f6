"""All that is stored, read again: little by little while the disk is idle, or at once because the operator says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..policy.scrubbing import Pace, age_of
from .activity import Activity
from .entries import Entry
from .store import Store

__all__ = ["Scrub", "verify", "verify_gently"]

# Rows of the index that are looked at in one step.
_STEP = 500
# Seconds until it is looked again whether anything is due; and, while others use the disk, whether they still do.
_LOOK, _BUSY_LOOK = 60.0, 1.0
# Seconds after something was damaged, or could not be read: a disk that fails is not hurried.
_TROUBLE = 5.0
# Seconds after which what could not be read is tried again.
_AGAIN = 3600.0


_log = Logger("crproxy.store")


class Scrub:
    """Reads everything in ``store`` again and again, what was not read for longest first.

    What was read, and when, is in the index: so it goes on where it was after a restart.

    Arguments:
        period: seconds within which everything is to be read.
        activity: tells when the disk is idle.
        clock: the time.
        now: seconds since the epoch.
    """

    def __init__(
        self, store: Store, period: float, activity: Activity, clock: IReactorTime, *, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._pace = Pace(period)
        # What comes meanwhile is not due before.
        self._look = min(_LOOK, self._pace.due_in(0))
        self._activity = activity
        self._clock = clock
        self._now = now
        self._stopped = False
        self._waiting: Deferred[None] | None = None
        # How old what is being read is; when the last piece of it began; and when the next content may.
        self._age = 0.0
        self._began = self._next = 0.0
        # What cannot be read now, and until when it is let be.
        self._unreadable: set[Entry] = set()
        self._let_be_until = 0.0

    def start(self) -> None:
        """Begin."""
        Deferred.fromCoroutine(self._run()).addErrback(_stopped)

    def stop(self) -> None:
        """End; a piece that a thread is reading is let go when it has done so."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()

    def look(self) -> None:
        """Something was found on disk: see now what is to be read first."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def _run(self) -> None:
        while True:
            try:
                seconds = await self._step()
            except CancelledError:
                raise
            except Exception:
                _log.failure("what is stored cannot be checked now")
                seconds = self._look
            await self._wait(seconds)

    async def _step(self) -> float:
        """Read what is due, if it may be read now; return the seconds until the next look."""
        if self._clock.seconds() >= self._let_be_until:
            self._unreadable.clear()
        found = self._store.index.longest_unchecked(self._unreadable)
        if found is None:
            return self._look
        entry, kept = found
        self._age = age_of(kept.checked, self._now(), self._pace.period)
        due_in = self._pace.due_in(self._age)
        if not self._pace.is_late(self._age):
            due_in = max(due_in, self._next - self._clock.seconds())
        if due_in > 0:
            return min(due_in, self._look)
        if not self._share():
            return _BUSY_LOOK
        self._began = self._clock.seconds()
        self._next = self._began + self._pace.gap(kept.size, self._store.index.bytes_stored())
        return await self._read(entry)

    async def _read(self, entry: Entry) -> float:
        """Read content; return the seconds to rest then."""
        try:
            is_right = await self._store.checks.check(entry, self._rest)
        except OSError as error:
            _log.warn("{entry} cannot be read: {error}", entry=entry, error=error)
            if not self._unreadable:
                self._let_be_until = self._clock.seconds() + _AGAIN
            self._unreadable.add(entry)
            return _TROUBLE
        if is_right is None and self._store.blobs.size(entry) is None:
            # Somebody else has removed it, whose note may not be written yet, or who makes none.
            self._store.index.dropped(entry)
        return _TROUBLE if is_right is False else self._rest_seconds()

    async def _rest(self) -> None:
        """Let others have the disk after a piece, for as long as they use it."""
        await self._wait(self._rest_seconds())
        while not self._share():
            await self._wait(_BUSY_LOOK)
        self._began = self._clock.seconds()

    def _rest_seconds(self) -> float:
        return self._pace.rest(self._clock.seconds() - self._began, self._share() or self._pace.share(0, is_idle=True))

    def _share(self) -> float:
        return self._pace.share(self._age, is_idle=self._activity.is_idle)

    async def _wait(self, seconds: float) -> None:
        """Wait; raises CancelledError once it was stopped."""
        if self._stopped:
            raise CancelledError
        self._waiting = deferLater(self._clock, seconds)
        try:
            await self._waiting
        except CancelledError:
            if self._stopped:
                raise
        finally:
            self._waiting = None


def verify(store: Store, contents: Iterable[tuple[Entry, int]] | None = None) -> Iterator[tuple[Entry, int, bool]]:
    """Read stored content again, dropping what is damaged. Blocking, for a store whose threads are `at_once`.

    Arguments:
        contents: what is read, each with its bytes; all by default.

    Yields:
        Each entry, its bytes, and whether it was sound. Wait between two of them to bound the rate.

    Raises:
        OSError: something cannot be read, which says nothing of it.
    """
    for entry, size in _all(store) if contents is None else contents:
        sound: list[bool | Failure] = []
        Deferred.fromCoroutine(_is_sound(store, entry)).addBoth(sound.append)
        if isinstance(sound[0], Failure):
            sound[0].raiseException()
        yield entry, size, sound[0]


async def verify_gently(
    store: Store,
    clock: IReactorTime,
    rate: int,
    report: Callable[[Entry, int, bool], object],
    contents: Iterable[tuple[Entry, int]] | None = None,
) -> None:
    """Do what `verify` does beside other work.

    Arguments:
        rate: bytes to read per second at the most.
        report: told each entry, its bytes, and whether it was sound; not where it cannot be read, which says nothing.
        contents: what is read, each with its bytes; all by default.
    """
    await store.index.flush()
    began, read = clock.seconds(), 0
    for entry, size in _all(store) if contents is None else contents:
        if store.blobs.size(entry) is None and store.index.size(entry) is None:
            continue  # evicted since
        try:
            report(entry, size, await _is_sound(store, entry))
        except OSError as error:
            _log.warn("{entry} cannot be read: {error}", entry=entry, error=error)
        read += size
        await deferLater(clock, max(0.0, began + read / max(rate, 1) - clock.seconds()))


def _all(store: Store) -> Iterator[tuple[Entry, int]]:
    """Give all that is stored, with its bytes, as it is when it is its turn."""
    last: Entry | None = None
    while rows := store.index.after(last, _STEP):
        yield from rows
        last = rows[-1][0]


async def _is_sound(store: Store, entry: Entry) -> bool:
    """Tell whether content is as it should be; what is not, or is not there, is dropped. Raises OSError."""
    sound = await store.checks.check(entry, _go_on)
    if sound is None and store.blobs.size(entry) is None:
        store.drop(entry)
    return sound is True


async def _go_on() -> None:
    """Read the next piece at once."""


def _stopped(failure: Failure) -> Any:
    failure.trap(CancelledError)
