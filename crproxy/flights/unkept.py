"""A flight past the disk: what it brings is in memory, because the disk takes nothing of it, or no more.

Other workers read it there, and this one reads what they have.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from ..oci.digests import Verifier
from ..policy.proofs import Proof
from ..store.blobs import PartialKey, WrongContent
from ..upstream.client import Streamed
from ..upstream.resuming import Source, pour
from .dependencies import Dependencies
from .peers import NotThere, PeersFirst
from .shared import Shared
from .tiers import Tiers
from .told import Told
from .window import NotKept, Window

__all__ = ["Unkept"]


class Unkept(Shared):
    """What a flight does past the disk."""

    def __init__(
        self,
        key: PartialKey,
        source: Source,
        dependencies: Dependencies,
        told: Told,
        whose: str | None = None,
        proof: Proof | None = None,
    ) -> None:
        super().__init__(key, source, dependencies)
        self._tiers = None
        if proof is not None and not dependencies.elsewhere.is_nowhere:
            self._tiers = Tiers(key, whose, source, proof, dependencies.elsewhere)
        # Where the bytes come from.
        self.origin: Source = self._tiers or source
        self._whose = whose
        self._told = told
        # Somebody else's registry gives it to some who read it: they trust what was looked at alone.
        self._is_trusted_unseen = True
        self._past_the_disk = PeersFirst(key, whose, self.origin, dependencies.peers, told.asks_upstream)
        # Other workers have come for what is in memory, or will not.
        self._held: Deferred[None] = succeed(None)
        self._pouring: Deferred[None] | None = None

    @property
    def is_with_a_node(self) -> bool:
        """Whether another node is asked, or gives what comes, just now."""
        return self._tiers is not None and self._tiers.is_with_a_node

    def verify(self) -> bool:
        """Have what comes be looked at, even if it is not kept; tell whether that can be done still."""
        if self.window is not None and self.window.verifier is None:
            return False
        self._is_trusted_unseen = False
        return True

    async def _pass_on(self, failure: Failure) -> bool:
        """Bring what the disk takes nothing of."""
        window = self._open_window(0, Verifier(self.entry.digest), failure, [])
        if window is None:
            failure.raiseException()
        self._log.warn("{entry} is passed on but not kept: {error}", entry=self.entry, error=failure.getErrorMessage())
        return await self._pour_past_the_disk(window, 0)

    async def _follow_past_the_disk(self) -> bool:
        """Bring what another worker has in memory, as the disk takes no more of it; False where that has it no more."""
        start = self._file.size if self._file.is_open else 0
        try:
            opened = await self._past_the_disk.from_peer(start)
            if opened is None:
                return False
        except NotThere:
            opened = None
        if start < self._readers.furthest:
            self._start_over()
        window = None
        try:
            verifier = None if start and self._goes_unseen else Verifier(self.entry.digest)
            if start and verifier is not None:
                await self._needs.threads(self._file.hash, verifier, start)
            failure = Failure(NotKept("another worker has it in memory"))
            window = self._open_window(start, verifier, failure, [])
            if window is None:
                failure.raiseException()
        finally:
            if window is None and opened is not None:
                opened.body.abandon()
        return await self._pour_past_the_disk(window, start, opened)

    async def _pour_past_the_disk(self, window: Window, start: int, opened: Streamed | None = None) -> bool:
        source = self._past_the_disk
        pouring = pour(source, window, start, None, self.clock, opened=opened, on_size=self._know)
        self._pouring = Deferred.fromCoroutine(pouring)
        if self._ending:
            self._pouring.cancel()
        try:
            await self._pouring
        finally:
            self._pouring = None
        self._be_whole_past_the_disk(window)
        return True

    def _open_window(
        self, start: int, verifier: Verifier | None, failure: Failure, unwritten: list[memoryview]
    ) -> Window | None:
        """Let what comes from now on be read from memory, behind what is unwritten: readers share it all the same."""
        window = self._needs.windows.open(start, verifier, self._grow)
        self.filled = start
        if window is None:
            return None
        for piece in unwritten:
            window.take(piece)
        self.window, self.is_unkept = window, True
        # Of the file; what is behind that they find in the window.
        self._fail_readers(Failure(NotKept(failure.getErrorMessage())))
        self.filled = window.end
        # They may have read more than the disk had.
        window.reach(self._readers.furthest)
        self._demand.is_over()
        self._demand.end_in(None)
        self._reconsider()
        return window

    def _be_whole_past_the_disk(self, window: Window) -> None:
        if window.verifier is None:
            # Nobody gets a right to the content by bytes that nobody has looked at.
            self._be_whole(window.end)
            return
        if not window.verifier.matches():
            raise WrongContent(f"the bytes that came for {self.entry} are others: nothing of them was kept")
        self._arrive(window.end)

    @property
    def _goes_unseen(self) -> bool:
        """Whether nobody looks at what is never kept: without its length, nobody would see either that it was cut."""
        return self._is_trusted_unseen and self.size is not None

    def _end(self) -> None:
        super()._end()
        self._held.cancel()
        if self._pouring is not None:
            self._pouring.cancel()

    def _know(self, size: int | None) -> None:
        """Upstream's header is there."""
        if self._known:
            return
        self.size = size
        if self.window is not None and not self.window.end and self._goes_unseen:
            self.window.verifier = None
        self._known = True
        self._demand.header_is_here()

    def _arrive(self, size: int) -> None:
        """All of it came, and was right where it was looked at."""
        self._told.arrived(self)
        self._be_whole(size)
