"""One blob where upstream has it, and as a body that passes through without being kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime

from ..flights.tiers import ObjectStore, SourceFailed
from ..oci.digests import Digest, Verifier
from ..oci.sizes import parse_size
from ..policy.ranges import Slice
from ..store.entries import View
from ..store.verifying import Verifying
from ..upstream.client import RegistryClient, Streamed
from ..upstream.resuming import Parallel, pour

__all__ = ["BlobSource", "KeptElsewhere", "Passed"]


@dataclass(frozen=True, slots=True)
class BlobSource:
    """Where the bytes of one blob can be had (Source): its repository, as it is seen by who asks."""

    client: RegistryClient
    view: View
    digest: Digest

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Ask for the bytes (Source)."""
        return await self._client.blob(self.view.repository, self.digest, start, stop)

    async def size(self) -> int | None:
        """Ask how many there are (Source)."""
        return parse_size((await self._client.head_blob(self.view.repository, self.digest)).get("content-length"))

    def blame(self) -> None:
        """Note that what came is wrong (Source)."""
        self._client.blame(self.view.repository, self.digest)

    @property
    def parallel(self) -> Parallel:
        """How it may be asked for several parts at once (Source)."""
        return self._client.parallel(self.view.repository.registry)

    @property
    def _client(self) -> RegistryClient:
        return self.client.on_behalf_of(self.view.caller)


@dataclass(frozen=True, slots=True)
class KeptElsewhere(BlobSource):
    """The same for who has a permission that counts, with the object store asked first."""

    store: ObjectStore

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Ask for the bytes (Source)."""
        try:
            opened = await self.store.open(self.view.entry(self.digest), start, stop)
        except SourceFailed:
            opened = None
        return opened or await BlobSource.open(self, start, stop)

    def blame(self) -> None:
        """Note that what came is wrong (Source): the store is trusted least."""
        self.store.blame(self.view.entry(self.digest))


class Passed:
    """A body that passes through: resumed where upstream cuts it, checked where it is whole, not kept.

    Arguments:
        opened: upstream's answer; None where it is asked when the bytes are wanted.
        part: which bytes; None is all of them, and then there is an answer.
        on_checked: awaited when all of it came and was right: with the last byte a client may turn to another worker.
    """

    def __init__(
        self,
        source: BlobSource,
        opened: Streamed | None,
        part: Slice | None,
        clock: IReactorTime,
        on_checked: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> None:
        self._source = source
        self._opened = opened
        self._part = part
        self._clock = clock
        self._on_checked = on_checked

    @property
    def length(self) -> int | None:
        """Bytes, where that is known."""
        if self._part is not None:
            return self._part.length
        return None if self._opened is None else self._opened.body.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the bytes flow (Body)."""
        return Deferred.fromCoroutine(self._pour(consumer))

    def abandon(self) -> None:
        """Let go of upstream's answer (Body)."""
        if self._opened is not None:
            self._opened.body.abandon()

    async def _pour(self, consumer: IConsumer) -> None:
        if self._part is None:
            checked = Verifying(consumer, Verifier(self._source.digest))
            await pour(self._source, checked, 0, None, self._clock, opened=self._opened)
            checked.check(self._source.blame)
            await self._on_checked()
            checked.finish()
        else:
            start, stop = self._part.start, self._part.stop
            await pour(self._source, consumer, start, stop, self._clock, opened=self._opened)
