"""One flight: upstream on the one side, the partial file in the middle, readers on the other."""

from __future__ import annotations

import errno
import os

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from ..oci.digests import Verifier
from ..oci.errors import ErrorCode, RegistryError
from ..policy.proofs import Proof
from ..store.blobs import AlreadyStored, Partial, PartialKey, WrongContent
from ..store.filling import Filling
from ..upstream.parallel import pour_in_parallel
from ..upstream.relay import BodyBroke
from ..upstream.resuming import RangeRefused, Source
from .announcements import Announcements
from .dependencies import Dependencies
from .pace import Pace
from .peers import hold_for_others
from .told import Told
from .unkept import Unkept
from .window import NotKept, Window

__all__ = ["Flight"]

# Seconds between two looks at a file that another process fills.
_FOLLOW_SECONDS = 0.02
# More readers than these are told of what has come when it is so many bytes, or on disk: it costs 25 us for each.
_FEW = 8
_STEP = 1024 * 1024


class Flight(Unkept):
    """The transfer of one blob."""

    def __init__(
        self,
        key: PartialKey,
        source: Source,
        dependencies: Dependencies,
        told: Told,
        whose: str | None = None,
        proof: Proof | None = None,
    ) -> None:
        super().__init__(key, source, dependencies, told, whose, proof)
        self._announced = Announcements(dependencies.sharing, dependencies.clock)
        self._at_disk: tuple[int, Verifier] | None = None
        self._running: Deferred[None] | None = None

    def run(self) -> Deferred[None]:
        """Fly; fires at the end, whatever it was."""
        self._running = Deferred.fromCoroutine(self._run())
        return self._running

    def verifier_at(self, position: int) -> Verifier | None:
        """Return what has taken in all that came before ``position``; None where that is not known (Followed)."""
        if self._at_disk is not None and position == self._at_disk[0]:
            return self._at_disk[1].copy()
        if (
            self.partial is None
            or position != self.filled
            or (self.window is not None and self.window.verifier is None)
        ):
            return None
        return self.partial.verifier.copy()

    def stop(self) -> Deferred[None]:
        """End the transfer before it is whole; fires when what came is on disk."""
        self._end()
        ended: Deferred[None] = Deferred()
        if self._running is None:
            ended.callback(None)
        else:
            self._running.addBoth(lambda _: ended.callback(None))
        return ended

    async def _run(self) -> None:
        try:
            while not await self._fill_or_follow():
                if self._ending:
                    raise CancelledError
        except OSError as error:
            self._log.warn("{entry} is passed on but not kept: {error}", entry=self.entry, error=error)
            self._fail(Failure(NotKept(str(error))))
        except CancelledError:
            self._fail(Failure(RegistryError(ErrorCode.UNAVAILABLE, "the transfer was stopped", retry_after=1)))
        except WrongContent:
            self.origin.blame()
            self._fail(Failure())
        except Exception:
            self._fail(Failure())
        finally:
            self._demand.end_in(None)
            if self.partial is not None:
                self._announced.drop(self.key)
            self._past_the_disk.leave()
            if self._tiers is not None:
                self._tiers.close()
            self._file.close()
            self._over = True
            self._let_go_of_window()
            self._demand.is_over()

    async def _fill_or_follow(self) -> bool:
        """Do our part until the content is whole, or until it is somebody else's turn."""
        if self._past_the_disk.is_with_a_peer:
            return await self._follow_past_the_disk()
        try:
            partial = await self._needs.threads(self._needs.blobs.begin, self.entry, self.key.origin)
        except OSError:
            return await self._pass_on(Failure())
        if partial is None:
            return await self._follow()
        if self._is_anothers(partial):
            return False
        try:
            # Another process may have finished between our look at the store and our lock.
            if self._take_whole():
                partial.discard()
            else:
                self.partial = partial
                # What one said that was killed is of no account for us.
                self._announced.drop(self.key)
                self._read_from(os.dup(partial.fd))
                self._told.asks_upstream()
                await self._fill(partial)
        except AlreadyStored:
            partial.discard()
            raise
        finally:
            partial.close()
            if self.partial is not None and not self.is_unkept:
                self._needs.room.release(self.key, 0 if partial.is_gone else partial.filled)
        return True

    async def _fill(self, partial: Partial) -> None:
        if partial.is_leftover:
            await self._needs.threads(partial.rehash)
        try:
            self._reserve(partial.filled)
        except OSError:
            partial.discard()
            self._needs.room.release(self.key)
            await self._pass_on(Failure())
            return
        self._grow(partial.filled)
        self._pace = Pace(partial.filled, self.clock.seconds())
        leftover = partial.filled > 0
        if leftover and partial.verifier.matches():
            # All of it came, for whomever it was: whether this repository may have it only its registry can say.
            await self.source.size()
        else:
            try:
                await self._pour(partial)
            except RangeRefused:
                if not leftover:
                    raise
                partial.reset()
                self._start_over()
                await self._pour(partial)
        if self.window is not None:
            self._be_whole_past_the_disk(self.window)
            await self._held
            return
        await self._needs.threads(partial.verify)
        if self._needs.sharing.is_alone:
            self._arrive(partial.filled)
            await self._needs.threads(partial.commit)
            self._note_stored(partial.filled)
        else:
            # In its place first, and before that whose it is: whoever sees it there, or has the last byte, may ask
            # another worker for it in the next moment.
            self._told.arrived(self)
            await self._needs.settled()
            await self._needs.threads(partial.commit)
            self._note_stored(partial.filled)
            await self._needs.settled()
            self._be_whole(partial.filled)

    async def _pour(self, partial: Partial) -> None:
        def instead(failure: Failure, unwritten: list[memoryview]) -> Window | None:
            # Before others can begin the file anew.
            self._past_the_disk.announce()
            why = failure.getErrorMessage()
            self._log.warn("{entry} is passed on but not kept: {error}", entry=self.entry, error=why)
            partial.discard()
            self._needs.room.release(self.key)
            self._at_disk = partial.filled, partial.verifier.copy()
            # Of what was to be kept so far each byte is hashed already; what never was goes through as it is.
            verifier = None if self._goes_unseen and not partial.filled else partial.verifier
            window = self._open_window(partial.filled, verifier, failure, unwritten)
            if window is None:
                self._past_the_disk.leave()
                # For a reader that has all of it, and asks by itself for what follows.
                self.filled = filling.received
                for piece in unwritten:
                    partial.verifier.update(piece)
            else:
                held = Deferred.fromCoroutine(hold_for_others(window, self.key, self._needs.peers, self.clock))
                self._held = held.addErrback(_cancelled)
            return window

        filling = self.filling = Filling(
            partial,
            self._needs.threads,
            lambda: self._written(filling),
            self._reserve,
            instead,
            self.clock,
            lambda: self._arrived(filling),
        )
        pouring = pour_in_parallel(
            self.origin,
            filling,
            partial.filled,
            None,
            self.clock,
            self._needs.memory,
            is_wanted=lambda: self.is_waited_for,
            on_size=self._know,
        )
        self._pouring = Deferred.fromCoroutine(pouring)
        if self._ending or filling.failure is not None:
            self._pouring.cancel()
        try:
            await self._pouring
        except (BodyBroke, CancelledError):
            if filling.failure is None or self.window is not None:
                raise
        except OSError:
            partial.discard()
            raise
        finally:
            self._pouring = None
            # The thread must be done with the file before anybody closes it.
            await filling.settled()
        if filling.failure is not None and self.window is None:
            partial.discard()
            filling.failure.raiseException()

    def _arrived(self, filling: Filling) -> None:
        """More has come: tell readers of it, unless that costs more than it is worth to them."""
        if len(self._readers) <= _FEW or filling.received - self.filled >= _STEP:
            self._grow(filling.received)

    def _written(self, filling: Filling) -> None:
        if self.window is not None:
            return
        self._grow(filling.received)
        # What nobody takes need not come: without this, the body would be asked for again to its end.
        if filling.failure is not None and self._pouring is not None:
            self._pouring.cancel()

    async def _follow(self) -> bool:
        """Follow the file that another process fills; return False where its lock has fallen free."""
        if not self._known:
            fd = self._needs.blobs.open_partial(self.entry, self.key.origin)
            if fd is None:
                return False
            self._read_from(fd)
            self._past_the_disk.wait()
            announced = await self._announced.wait(self.key, self._whose, self._need_not_follow)
            if self._need_not_follow():
                return False
            self._know(await self.source.size() if announced is None else announced.size)
        while not self._take_whole():
            if self._need_not_follow():
                return False
            self._grow(self._file.size)
            partial = await self._needs.threads(self._needs.blobs.begin, self.entry, self.key.origin)
            if partial is not None:
                if not self._is_anothers(partial):
                    partial.close()
                return False
            await deferLater(self.clock, _FOLLOW_SECONDS)
        return True

    def _is_anothers(self, partial: Partial) -> bool:
        """Let go of a file that this look made in the place of another worker's, for which the disk takes no more."""
        if not self._past_the_disk.is_with_a_peer:
            return False
        partial.discard()
        partial.close()
        return True

    def _need_not_follow(self) -> bool:
        return self._ending or self._past_the_disk.is_with_a_peer

    def _note_stored(self, size: int) -> None:
        self._needs.on_stored(self.entry, size)
        if self._tiers is not None:
            self._tiers.arrived(size)

    def _take_whole(self) -> bool:
        """Tell whether what this flight read is whole now, by somebody else's doing; readers have all of it then.

        Raises:
            AlreadyStored: another file is in its place, of which nobody has said that it is ours to give.
        """
        fd = self._needs.blobs.open(self.entry)
        if fd is None:
            return False
        if not self._file.is_the_one(fd):
            os.close(fd)
            raise AlreadyStored(f"{self.entry} is here")
        size = os.fstat(fd).st_size
        self._read_from(fd)
        self._arrive(size)
        return True

    def _reserve(self, size: int) -> None:
        """Have room for ``size`` bytes. Raises OSError where there is none."""
        if not self._needs.room.reserve(self.key, size):
            raise OSError(errno.ENOSPC, "there is no room for it")

    def _know(self, size: int | None) -> None:
        """Upstream's header is there."""
        if self._known:
            return
        self.size = size
        if self.filling is not None and not self._needs.room.could_hold(size or 0):
            too_large = OSError(errno.ENOSPC, "it is larger than the cache")
            self.filling.give_up(Failure(too_large))
            if self.window is None:
                raise too_large
        if self.partial is not None:
            self._announced.put(self.key, self._whose, size)
        super()._know(size)


def _cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)
