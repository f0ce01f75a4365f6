"""What a connection does with bytes: all of them, in order, at the peer's pace, and its end."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer
from zope.interface import implementer

from tests.transports.peers import Pair, Pieces, Recorder, content, joined

KIB, MIB = 1024, 1024 * 1024
LARGE = content(8 * MIB)

SIZES = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 200 * KIB)), max_size=6)


@pytest.fixture(params=["tcp", "unix", "tls"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with joined(unix=request.param == "unix", secured=request.param == "tls") as pair:
        yield pair


def in_pieces(sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(LARGE[at : at + size])
        at += size
    return pieces


# Sending


@given(sizes=SIZES, reads=st.integers(2000, 100 * KIB), secured=st.booleans(), small=st.booleans(), views=st.booleans())
def test_every_byte_arrives_once_and_in_order(
    sizes: list[int], reads: int, secured: bool, small: bool, views: bool
) -> None:
    pieces = in_pieces(sizes)
    with joined(secured=secured, unix=small, buffers=8 * KIB if small else None) as pair:
        reused = bytearray(200 * KIB)
        for piece in pieces:
            reused[: len(piece)] = piece
            pair.transport.write(memoryview(reused)[: len(piece)] if views else piece)
            reused[: len(piece)] = bytes(len(piece))
        pair.transport.loseConnection()
        assert pair.read_all(reads) == b"".join(pieces)


@given(sizes=SIZES, reads=st.integers(2000, 100 * KIB), secured=st.booleans())
def test_a_push_producer_is_held_back_and_loses_nothing(sizes: list[int], reads: int, secured: bool) -> None:
    pieces = in_pieces(sizes)
    with joined(secured=secured, unix=True, buffers=8 * KIB) as pair:
        producer = Pieces(pair.transport, pieces)
        producer.begin()
        pair.transport.loseConnection()
        assert pair.read_all(reads) == b"".join(pieces)
        assert "stop" not in producer.told


@given(
    start=st.integers(0, 300 * KIB),
    size=st.integers(1, MIB),
    reads=st.integers(2000, 100 * KIB),
    secured=st.booleans(),
    head=st.binary(max_size=100),
)
def test_a_file_goes_out_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, start: int, size: int, reads: int, secured: bool, head: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "content"
    if not path.exists():
        path.write_bytes(LARGE)
    fd = os.open(path, os.O_RDONLY)
    try:
        with joined(secured=secured, unix=True, buffers=16 * KIB) as pair:
            pair.transport.write(head)
            got, at = bytearray(), start
            while at < start + size:
                at += pair.transport.send_file(fd, at, start + size - at)
                pair.hands.turn()
                got += pair.read(reads) or b""
            pair.transport.loseConnection()
            got += pair.read_all()
            assert bytes(got) == head + LARGE[start : start + size]
    finally:
        os.close(fd)


@pytest.mark.parametrize("secured", [False, True])
def test_a_file_that_is_shorter_than_was_said_is_told(tmp_path: Path, secured: bool) -> None:
    (tmp_path / "short").write_bytes(b"0123456789")
    fd = os.open(tmp_path / "short", os.O_RDONLY)
    try:
        with joined(secured=secured) as pair:
            assert pair.transport.send_file(fd, 4, 100) == 6
            with pytest.raises(EOFError, match="the file ends at byte 10"):
                pair.transport.send_file(fd, 10, 94)
    finally:
        os.close(fd)


def test_what_is_said_to_an_input_goes_out_together(pair: Pair) -> None:
    sends: list[int] = []
    engine = pair.transport._engine
    real = engine.send

    def send(data: bytes) -> int:
        sends.append(len(data))
        return int(real(data))

    engine.send = send

    def answer(data: bytes) -> None:
        for piece in (b"status", b"fields", b"body"):
            pair.transport.write(piece)

    pair.protocol.dataReceived = answer  # type: ignore[method-assign]
    pair.send(b"?")
    assert pair.read_all(count=16) == b"statusfieldsbody"
    assert sends == [16]


def test_a_producer_is_paused_where_the_peer_does_not_read_and_resumed_where_it_does(pair: Pair) -> None:
    producer = Pieces(pair.transport, [LARGE[at : at + 64 * KIB] for at in range(0, len(LARGE), 64 * KIB)] * 2)
    producer.begin()
    pair.hands.settle()
    assert producer.told[-1] == "pause"
    # In our memory there is one piece; the rest is the kernel's, or not asked for yet.
    assert pair.transport.queued <= 64 * KIB
    assert pair.read_all(count=2 * len(LARGE)) == LARGE * 2
    assert "resume" in producer.told
    pair.hands.settle()
    assert not pair.hands.writers


def test_one_fast_peer_waits_for_its_turn(pair: Pair) -> None:
    """However much it takes, others come after a MiB."""
    written: list[int] = []

    class Endless(Pieces):
        def _write(self) -> None:
            count = 0
            while not self._paused:
                self._transport.write(LARGE[: 64 * KIB])
                count += 1
            written.append(count)

    Endless(pair.transport, []).begin()
    for _ in range(20):
        pair.read(MIB)
        pair.hands.turn()
    assert max(written) <= MIB // (64 * KIB) + 1


def test_a_pull_producer_is_asked_piece_by_piece(pair: Pair) -> None:
    @implementer(IPullProducer)
    class Pull:
        asked = 0

        def resumeProducing(self) -> None:
            self.asked += 1
            if self.asked <= 40:
                pair.transport.write(LARGE[: 100 * KIB])
            else:
                pair.transport.unregisterProducer()
                pair.transport.loseConnection()

        def stopProducing(self) -> None:
            raise AssertionError("nobody stops it")

    pull = Pull()
    pair.transport.registerProducer(pull, False)
    assert pair.read_all() == LARGE[: 100 * KIB] * 40
    assert pull.asked == 41


def test_a_producer_is_stopped_when_the_peer_is_gone(pair: Pair) -> None:
    producer = Pieces(pair.transport, [LARGE] * 4)
    producer.begin()
    pair.raw.close() if pair.peer is pair.raw else pair.peer.close()
    pair.hands.settle()
    assert producer.told[-1] == "stop"
    assert len(pair.protocol.lost) == 1
    assert pair.transport.queued == 0


@pytest.mark.parametrize("secured", [False, True])
def test_a_peer_that_reads_byte_by_byte_gets_all(secured: bool) -> None:
    with joined(secured=secured, unix=True, buffers=8 * KIB) as pair:
        Pieces(pair.transport, [LARGE[: 10 * KIB], LARGE[10 * KIB : 50 * KIB]]).begin()
        pair.transport.loseConnection()
        assert pair.read_all(1) == LARGE[: 50 * KIB]


# Receiving


@given(sizes=SIZES, secured=st.booleans())
def test_every_byte_is_heard_once_and_in_order(sizes: list[int], secured: bool) -> None:
    pieces = in_pieces(sizes)
    with joined(secured=secured) as pair:
        for piece in pieces:
            pair.send(piece)
        pair.hands.settle()
        assert bytes(pair.protocol.heard) == b"".join(pieces)


def test_who_takes_views_is_given_views_of_all(pair: Pair) -> None:
    kinds = set()
    heard = bytearray()

    def take(data: memoryview) -> None:
        kinds.add(type(data))
        heard.extend(data)

    pair.protocol.dataReceived = take  # type: ignore[assignment,method-assign]
    pair.transport.takes_views = True
    pair.transport.bufferSize = 256 * KIB
    pair.send(LARGE)
    assert heard == LARGE
    assert kinds == {memoryview}


def test_who_pauses_hears_nothing_until_it_resumes(pair: Pair) -> None:
    pair.transport.pauseProducing()
    pair.send(b"waits")
    pair.hands.settle()
    assert pair.protocol.heard == b""
    pair.transport.resumeProducing()
    pair.hands.settle()
    assert pair.protocol.heard == b"waits"


def test_who_pauses_in_mid_record_hears_the_rest_when_it_resumes() -> None:
    with joined(secured=True) as pair:
        pair.transport.bufferSize = 1000
        paused: list[int] = []

        def take(data: bytes) -> None:
            pair.protocol.heard += data
            if len(paused) < 3:
                paused.append(len(pair.protocol.heard))
                pair.transport.pauseProducing()

        pair.protocol.dataReceived = take  # type: ignore[method-assign]
        pair.send(LARGE[:5000])
        for expected in (1000, 2000, 3000, 5000):
            pair.hands.settle()
            assert len(pair.protocol.heard) == expected
            pair.transport.resumeProducing()
        assert pair.protocol.heard == LARGE[:5000]


# The end


def test_what_was_written_arrives_before_the_end(pair: Pair) -> None:
    pair.transport.write(LARGE)
    pair.transport.loseConnection()
    assert pair.read_all() == LARGE
    pair.peer.close()
    pair.hands.settle()
    assert [reason.type for reason in pair.protocol.lost] == [ConnectionDone]
    assert not pair.hands.readers | pair.hands.writers


def test_a_peer_that_closes_is_done(pair: Pair) -> None:
    if pair.peer is not pair.raw:
        pair.drive(lambda: _unwrapped(pair))
    pair.peer.close()
    pair.hands.settle()
    assert [reason.type for reason in pair.protocol.lost] == [ConnectionDone]


def _unwrapped(pair: Pair) -> None:
    try:
        pair.peer.unwrap()
    except OSError:
        return


def test_a_peer_that_is_reset_is_lost() -> None:
    with joined() as pair:
        pair.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        pair.raw.close()
        pair.hands.settle()
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionLost]


def test_an_abort_drops_what_waits(pair: Pair) -> None:
    pair.transport.write(LARGE)
    pair.transport.abortConnection()
    pair.transport.write(b"more")
    pair.hands.settle()
    assert [reason.type for reason in pair.protocol.lost] == [ConnectionAborted]
    assert len(pair.read_all()) < len(LARGE)
    assert not pair.hands.getDelayedCalls()


def test_what_is_written_after_the_end_is_dropped(pair: Pair) -> None:
    pair.transport.abortConnection()
    pair.hands.settle()
    pair.transport.write(b"late")
    pair.transport.writeSequence([b"late"])
    pair.transport.loseConnection()
    pair.hands.settle()
    assert len(pair.protocol.lost) == 1


def test_a_write_that_fails_ends_the_connection_later() -> None:
    """Not in the midst of whoever writes."""
    with joined() as pair:
        pair.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        pair.raw.close()
        for _ in range(3):
            pair.transport.write(b"into the void")
            assert pair.protocol.lost == []
        pair.hands.settle()
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionLost]


def test_half_closed_it_hears_on() -> None:
    with joined() as pair:
        pair.transport.write(b"all I say")
        pair.transport.loseWriteConnection()
        assert pair.read_all(count=9) == b"all I say"
        pair.send(b"go on")
        assert pair.protocol.heard == b"go on"


@pytest.mark.parametrize("secured", [False, True])
def test_half_closed_by_the_peer_it_says_on(secured: bool) -> None:
    @implementer(IHalfCloseableProtocol)
    class HalfCloseable(Recorder):
        ends = 0

        def readConnectionLost(self) -> None:
            self.ends += 1

        def writeConnectionLost(self) -> None:
            raise AssertionError("it goes on")

    with joined(secured=secured) as pair:
        protocol = HalfCloseable()
        pair.protocol = pair.transport.protocol = protocol
        if secured:
            _unwrapped(pair)
        else:
            pair.raw.shutdown(socket.SHUT_WR)
        pair.hands.settle()
        assert protocol.ends == 1
        pair.transport.write(b"still here")
        pair.hands.settle()
        assert pair.read_all(count=10) == b"still here"
