"""A tunnel between two ends whose transports are read, paused and ended by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from crproxy.forward.tunnel import Tunnel, TunnelEnd

IDLE = 300.0
# Bytes that wait for somebody who takes nothing, beyond which writers are to wait.
ROOM = 4
# A piece of the input that is none: the end of it.
END = None


class Side:
    """One end's transport, and whoever is at its far end, who sends, takes and leaves when the test says so.

    It keeps what Twisted's promise: nothing is delivered while it is paused, the producer is told when there is no more
    room, what was written is sent before it closes, and an abort drops it. Nothing happens inside of a call.
    """

    def __init__(self, end: TunnelEnd) -> None:
        self.end = end
        self.sent = b""
        self.taken = b""
        self.left = self.lost = False
        self._inbox: deque[bytes | None] = deque()
        self._queue = b""
        self._reading = True
        self._producer: Any = None
        self._paused = self._closing = self._aborting = False

    # What the far end does

    def send(self, data: bytes) -> None:
        if not self.left:
            self.sent += data
            self._inbox.append(data)

    def leave(self) -> None:
        if not self.left:
            self.left = True
            self._inbox.append(END)

    def cut(self) -> None:
        self.left = True
        if not self.lost:
            self._lose(ConnectionLost())

    def take(self, count: int) -> None:
        if self.lost:
            return
        self.taken += self._queue[:count]
        self._queue = self._queue[count:]
        if self._paused and len(self._queue) < ROOM:
            self._paused = False
            self._producer.resumeProducing()

    # What the reactor does

    def step(self) -> bool:
        """Do one thing that is due; tell whether there was any."""
        if self.lost:
            return False
        if self._aborting:
            self._lose(ConnectionLost())
        elif self._closing and not self._queue and self._producer is None:
            self._lose(ConnectionDone())
        elif self._reading and not self._closing and self._inbox:
            data = self._inbox.popleft()
            if data is END:
                self._lose(ConnectionDone())
            else:
                self.end.dataReceived(data)
        else:
            return False
        return True

    def _lose(self, reason: Exception) -> None:
        self.lost = True
        self._queue = b""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        self.end.connectionLost(Failure(reason))

    # What the tunnel asks for (ITransport, IConsumer, IPushProducer)

    def write(self, data: bytes) -> None:
        assert not self.lost
        if self._aborting:
            return
        self._queue += data
        if len(self._queue) > ROOM and self._producer is not None and not self._paused:
            self._paused = True
            self._producer.pauseProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self._producer is None
        assert streaming
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer, self._paused = None, False

    def loseConnection(self) -> None:
        self._closing = True

    def abortConnection(self) -> None:
        self._aborting = True

    def pauseProducing(self) -> None:
        self._reading = False

    def resumeProducing(self) -> None:
        self._reading = True

    @property
    def closing(self) -> bool:
        return self._closing or self._aborting

    @property
    def paused(self) -> bool:
        return not self._reading


class World:
    """A tunnel, connected to its host first and then to its client, as it is granted."""

    def __init__(self, *, joined: bool = True) -> None:
        self.clock = Clock()
        self.tunnel = Tunnel(IDLE, self.clock)
        self.client, self.host = Side(self.tunnel.client), Side(self.tunnel.host)
        self.overs: list[object] = []
        self.tunnel.over.addBoth(self.overs.append)
        self.tunnel.host.makeConnection(self.host)
        if joined:
            self.join()

    def join(self) -> None:
        """Twisted has whoever speaks on a connection begin, and reads then."""
        self.tunnel.client.makeConnection(self.client)

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.client, self.host

    def settle(self, *, taking: bool = True) -> None:
        """Let everything happen that is due, and with ``taking`` be taken."""
        while any(side.step() for side in self.sides) or (taking and any(side._queue for side in self.sides)):
            for side in self.sides:
                side.take(1 << 20 if taking else 0)

    def assert_over(self) -> None:
        assert all(side.lost for side in self.sides)
        assert self.overs == [None]
        assert self.clock.getDelayedCalls() == []


def test_both_ways_are_passed_on_and_counted() -> None:
    world = World()
    world.client.send(b"hello")
    world.host.send(b"and good day")
    world.settle()
    assert (world.host.taken, world.client.taken) == (b"hello", b"and good day")
    assert (world.tunnel.sent, world.tunnel.received) == (5, 12)
    assert world.overs == []


def test_what_the_host_says_first_waits_for_the_client() -> None:
    """Some do, such as those of protocols in which the server begins."""
    world = World(joined=False)
    world.host.send(b"welcome")
    world.settle()
    assert world.host.paused
    assert world.clock.getDelayedCalls() == []
    world.join()
    world.settle()
    assert world.client.taken == b"welcome"


def test_a_host_that_leaves_before_the_client_is_there_is_an_end_to_it() -> None:
    world = World(joined=False)
    world.host.cut()
    assert world.overs == []
    world.join()
    world.settle()
    world.assert_over()


@pytest.mark.parametrize("slow", ["client", "host"])
def test_who_takes_nothing_has_the_other_wait(slow: str) -> None:
    world = World()
    slower, faster = (world.client, world.host) if slow == "client" else (world.host, world.client)
    for _ in range(5):
        faster.send(b"xyz")
    world.settle(taking=False)
    # What arrived in the turn in which it was told.
    assert faster.paused
    assert len(slower._queue) == 6
    # The other way goes on.
    slower.send(b"more")
    world.settle(taking=False)
    faster.take(10)
    assert faster.taken == b"more"
    world.settle()
    assert slower.taken == b"xyz" * 5
    assert not faster.paused


@pytest.mark.parametrize("leaver", ["client", "host"])
def test_what_was_sent_before_the_end_arrives(leaver: str) -> None:
    """RFC 9110, 9.3.6; the end of the input is the end of the connection, also where it is closed only halfway."""
    world = World()
    leaving, staying = (world.client, world.host) if leaver == "client" else (world.host, world.client)
    for _ in range(3):
        leaving.send(b"last words ")
    leaving.leave()
    world.settle(taking=False)
    assert not staying.lost
    world.settle()
    assert staying.taken == b"last words " * 3
    world.assert_over()


@pytest.mark.parametrize("cut", ["client", "host"])
def test_where_one_is_cut_the_other_is_closed(cut: str) -> None:
    world = World()
    lost, other = (world.client, world.host) if cut == "client" else (world.host, world.client)
    lost.cut()
    assert other.closing
    world.settle()
    world.assert_over()


def test_one_that_takes_nothing_of_the_last_words_is_cut_in_the_end() -> None:
    world = World()
    world.host.send(b"last words")
    world.host.leave()
    world.settle(taking=False)
    assert not world.client.lost
    world.clock.advance(IDLE)
    world.settle(taking=False)
    world.assert_over()


def test_one_on_which_nothing_is_said_ends() -> None:
    world = World()
    world.clock.advance(IDLE - 1)
    world.client.send(b"x")
    world.settle()
    world.clock.advance(IDLE - 1)
    world.host.send(b"x")
    world.settle()
    world.clock.advance(IDLE - 1)
    assert not world.client.closing
    world.clock.advance(1)
    world.settle()
    world.assert_over()


def test_bytes_that_come_while_it_is_cut_do_no_harm() -> None:
    world = World()
    world.clock.advance(IDLE)
    # Twisted's TLS hands on what it has decrypted, whatever is being closed.
    world.tunnel.client.dataReceived(b"late")
    world.settle()
    world.tunnel.host.dataReceived(b"later")
    world.assert_over()


@pytest.mark.parametrize("joined", [False, True])
def test_it_can_be_closed_at_any_time(joined: bool) -> None:
    world = World(joined=joined)
    world.tunnel.close()
    world.tunnel.close()
    world.settle()
    assert world.host.lost
    assert world.overs == [None]
    assert world.clock.getDelayedCalls() == []
    # Its host may say something behind its proxy's answer.
    world.tunnel.host.dataReceived(b"too late")


def test_one_that_was_never_connected_leaves_nothing_behind() -> None:
    clock = Clock()
    tunnel = Tunnel(IDLE, clock)
    tunnel.close()
    assert tunnel.over.called
    assert clock.getDelayedCalls() == []
    # Nor does a connection that comes all the same.
    host = Side(tunnel.host)
    tunnel.host.makeConnection(host)
    assert host.closing


# Any order of events

SIDES = st.sampled_from([0, 1])
OPERATIONS = st.one_of(
    st.tuples(st.just("send"), SIDES, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("take"), SIDES, st.integers(1, 6)),
    st.tuples(st.just("turn"), SIDES, st.integers(1, 3)),
    st.tuples(st.just("leave"), SIDES, st.none()),
    st.tuples(st.just("wait"), SIDES, st.floats(0, IDLE / 2)),
)
HARD = st.one_of(OPERATIONS, st.tuples(st.just("cut"), SIDES, st.none()), st.tuples(st.just("close"), SIDES, st.none()))


def play(operations: Iterable[tuple[str, int, Any]], joins_after: int = 0) -> World:
    world = World(joined=False)
    for number, (what, which, how) in enumerate(operations):
        if number == joins_after:
            world.join()
        side = world.sides[which]
        if what == "turn":
            for _ in range(how):
                side.step()
        elif what == "wait":
            world.clock.advance(how)
        elif what == "close":
            world.tunnel.close()
        elif which == 0 and number < joins_after and what in ("cut", "take"):
            continue
        else:
            getattr(side, what)(*([] if how is None else [how]))
    if not world.client.end.connected:
        world.join()
    return world


@given(st.lists(OPERATIONS, max_size=40), st.integers(0, 5))
def test_nothing_is_lost_or_turned_round(operations: list[tuple[str, int, Any]], joins_after: int) -> None:
    """Whoever sends and leaves first, or stays, is heard to the end."""
    # Idle time is a test of its own.
    world = play([each for each in operations if each[0] != "wait"], joins_after)
    assert_prefixes(world)
    world.settle()
    assert_prefixes(world)
    whole = [world.host.taken == world.client.sent, world.client.taken == world.host.sent]
    left = [world.client.left, world.host.left]
    if not any(left):
        assert whole == [True, True]
        assert world.overs == []
        world.tunnel.close()
        world.settle()
    elif not all(left):
        assert whole[left.index(True)]
    else:
        assert any(whole)
    world.assert_over()


@given(st.lists(HARD, max_size=40), st.integers(0, 5))
def test_whatever_happens_it_is_over_once_and_leaves_nothing_behind(
    operations: list[tuple[str, int, Any]], joins_after: int
) -> None:
    world = play(operations, joins_after)
    assert_prefixes(world)
    world.settle(taking=False)
    world.clock.advance(IDLE)
    world.settle(taking=False)
    assert_prefixes(world)
    world.assert_over()
    assert world.tunnel.sent <= len(world.client.sent)
    assert world.tunnel.received <= len(world.host.sent)


def assert_prefixes(world: World) -> None:
    assert world.client.sent.startswith(world.host.taken)
    assert world.host.sent.startswith(world.client.taken)
