"""Blobs straight from upstream: what is not kept, or not this repository's to have before upstream gave it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..flights.tiers import ObjectStore
from ..limits import Fills
from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..policy.headers import answer_headers
from ..policy.parts import Chosen, Run, choose, runs_of
from ..policy.proofs import Proof
from ..policy.ranges import ByteRange, RangeNotSatisfiable, Slice, parse_content_range, unsatisfied_size
from ..store.entries import View
from ..upstream.client import RangeRefused, RegistryClient, Streamed
from .blob_replies import BLOB_TYPE, blob_reply, span_of, unsatisfiable
from .counting import counted
from .passing import BlobSource, KeptElsewhere, Passed
from .permissions import Permissions
from .reply import CacheStatus, Reply, named

__all__ = ["APART", "FromUpstream"]

# Bytes between two parts that are asked for in one, and dropped: 10 Mbit/s bring as many while a question goes there
# and its answer back. Each question may be two, by a redirect.
APART = 64 * 1024
# Questions to upstream that one request may bring about; beyond, more of what is between the parts is dropped.
_MOST_RUNS = 64


class FromUpstream:
    """Passes blobs, and parts of them, through.

    Arguments:
        client: asks upstream.
        permissions: are told what that says.
        fills: count each until it ends.
        clock: for waiting between attempts.
        settled: fires when what was noted so far is known to all workers.
        objects: what all nodes have kept; None where there is no such thing.
    """

    def __init__(
        self,
        client: RegistryClient,
        permissions: Permissions,
        fills: Fills,
        clock: IReactorTime,
        settled: Callable[[], Deferred[None]],
        objects: ObjectStore | None = None,
    ) -> None:
        self._client = client
        self._permissions = permissions
        self._fills = fills
        self._clock = clock
        self._settled = settled
        self._objects = objects

    async def get(
        self, view: View, digest: Digest, wanted: Sequence[ByteRange], client: str | None, size: int | None = None
    ) -> Reply:
        """Return the reply to a GET, which counts as one fill until its body ends.

        Arguments:
            wanted: the ranges that are asked for; none is the whole.
            client: the IP address of who asks, where that is known.
            size: the blob's, where that is known.

        Raises:
            RegistryError: upstream refuses, or too much is under way.
        """
        fill = self._fills.begin(str(view.repository.registry), client)
        return await counted(self._reply(view, digest, wanted, size), lambda: self._fills.end(fill))

    async def _reply(self, view: View, digest: Digest, wanted: Sequence[ByteRange], size: int | None) -> Reply:
        source = self._source(view, digest)
        if len(wanted) <= 1 and all(one.first is not None for one in wanted):
            return await self._one(source, wanted[0] if wanted else None)
        size = await self._size(source) if size is None else size
        if size is None:
            return await self._one(source, None)
        try:
            chosen = choose(wanted, size)
        except RangeNotSatisfiable as error:
            return unsatisfiable(error)
        if chosen.is_whole:
            return await self._one(source, None)
        if len(chosen.parts) == 1:
            return await self._one(source, ByteRange(chosen.parts[0].start, chosen.parts[0].stop - 1))
        return await self._several(source, chosen)

    def _source(self, view: View, digest: Digest) -> BlobSource:
        if self._objects is not None and self._permissions.proof(view, digest) is Proof.GIVEN:
            return KeptElsewhere(self._client, view, digest, self._objects)
        return BlobSource(self._client, view, digest)

    async def _one(self, source: BlobSource, wanted: ByteRange | None) -> Reply:
        """Return the whole, or the part of it that begins where ``wanted`` says."""
        start = 0 if wanted is None or wanted.first is None else wanted.first
        stop = None if wanted is None or wanted.last is None else wanted.last + 1
        streamed = await self._open(source, start, stop)
        if streamed.status == 200 and wanted is not None and streamed.body.length is not None:
            # Upstream does not know Range. podman gives up where it asks to resume and is sent the whole.
            return self._of_the_whole(source, streamed, wanted, streamed.body.length)
        headers = {**answer_headers(streamed.headers), **BLOB_TYPE, **named(source.digest, CacheStatus.MISS)}
        part = parse_content_range(streamed.headers.get("content-range"))
        if streamed.status == 416 or (streamed.status == 206 and part is None):
            streamed.body.abandon()
            return Reply(416, headers | _unsatisfied(streamed))
        if part is not None:
            headers["Content-Range"] = part.content_range
        return Reply(streamed.status, headers, self._poured(source, streamed, part))

    def _of_the_whole(self, source: BlobSource, streamed: Streamed, wanted: ByteRange, size: int) -> Reply:
        try:
            part = wanted.of(size)
        except RangeNotSatisfiable as error:
            streamed.body.abandon()
            return unsatisfiable(error)
        body = self._poured(source, streamed, part)
        return blob_reply(source.digest, Chosen((part,), is_whole=False), [(part,)], [body], CacheStatus.MISS)

    async def _several(self, source: BlobSource, chosen: Chosen) -> Reply:
        """Return several parts as one body, of which upstream is asked one after another: not all know several.

        GitHub's registry answers 501 to them, S3 sends the whole.
        """
        runs = _few_runs(chosen)
        first = span_of(runs[0])
        streamed = await self._open(source, first.start, first.stop)
        if streamed.status == 200:
            return self._several_of_the_whole(source, streamed, chosen)
        part = parse_content_range(streamed.headers.get("content-range"))
        if part is None or part.size != first.size:
            streamed.body.abandon()
            raise RangeRefused(streamed.status, str(source.view.repository.registry))
        later = [Passed(source, None, span_of(run), self._clock) for run in runs[1:]]
        return self._reply_of(source, chosen, runs, [self._poured(source, streamed, first), *later])

    def _several_of_the_whole(self, source: BlobSource, streamed: Streamed, chosen: Chosen) -> Reply:
        """Return what upstream sends that does not know Range: by each of several it would send the whole again."""
        whole = Slice(0, chosen.parts[0].size, chosen.parts[0].size)
        if streamed.body.length not in (None, whole.size):
            streamed.body.abandon()
            raise RangeRefused(streamed.status, str(source.view.repository.registry))
        runs = runs_of(chosen.parts)
        if len(runs) == 1:
            return self._reply_of(source, chosen, runs, [self._poured(source, streamed, span_of(runs[0]))])
        # "A server MAY ignore the Range header field" (RFC 9110, 14.2).
        whole_alone = Chosen((whole,), is_whole=True)
        return self._reply_of(source, whole_alone, [whole_alone.parts], [self._poured(source, streamed, None)])

    def _reply_of(self, source: BlobSource, chosen: Chosen, runs: Sequence[Run], bodies: Sequence[Passed]) -> Reply:
        return blob_reply(source.digest, chosen, runs, bodies, CacheStatus.MISS)

    async def _size(self, source: BlobSource) -> int | None:
        try:
            return await source.size()
        except RegistryError as error:
            self._permissions.refused(source.view, error)
            raise

    async def _open(self, source: BlobSource, start: int, stop: int | None) -> Streamed:
        try:
            streamed = await source.open(start, stop)
        except RegistryError as error:
            self._permissions.refused(source.view, error)
            raise
        if not isinstance(source, KeptElsewhere):
            self._permissions.confirmed(source.view, source.digest)
        return streamed

    def _poured(self, source: BlobSource, streamed: Streamed, part: Slice | None) -> Passed:
        def given() -> Deferred[None]:
            if not isinstance(source, KeptElsewhere):
                self._permissions.given(source.view, source.digest)
            return self._settled()

        return Passed(source, streamed, part, self._clock, given)


def _unsatisfied(streamed: Streamed) -> dict[str, str]:
    """Return how many bytes there are instead, where upstream said so (RFC 9110, 15.5.17)."""
    size = unsatisfied_size(streamed.headers.get("content-range"))
    return {} if size is None else {"Content-Range": f"bytes */{size}"}


def _few_runs(chosen: Chosen) -> tuple[Run, ...]:
    """Return the parts in as many runs as upstream may be asked for."""
    apart: int = APART
    runs = runs_of(chosen.parts, apart)
    while len(runs) > _MOST_RUNS and apart < chosen.parts[0].size:
        apart *= 4
        runs = runs_of(chosen.parts, apart)
    return runs
