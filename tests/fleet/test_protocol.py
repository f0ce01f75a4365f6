from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from crproxy.fleet.protocol import ERRORS, AnswersError, Commands, Subscriber
from tests.memory import ended, failure_of, not_yet


class Transport(StringTransport):
    """One that notes how it ends."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


def connected(protocol: Any) -> Transport:
    transport = Transport()
    protocol.makeConnection(transport)
    return transport


def test_it_asks_and_is_answered_in_bytes() -> None:
    protocol = Commands()
    transport = connected(protocol)
    first, second = protocol.execute_command("GET", "k"), protocol.execute_command("INCR", "n", b"\xff", 5)
    assert transport.value().startswith(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*4\r\n")
    protocol.dataReceived(b"$2\r\n1")
    assert not_yet(first)
    protocol.dataReceived(b"2\r\n:7\r\n")
    assert (ended(first), ended(second)) == (b"12", 7)


def test_a_refusal_is_an_error() -> None:
    protocol = Commands()
    connected(protocol)
    asked = protocol.execute_command("GET", "k")
    protocol.dataReceived(b"-WRONGTYPE no\r\n")
    assert "WRONGTYPE" in str(failure_of(asked, AnswersError))


def test_what_was_asked_fails_with_the_connection() -> None:
    protocol = Commands()
    connected(protocol)
    asked = protocol.execute_command("GET", "k")
    protocol.connectionLost(Failure(ConnectionDone()))
    failure_of(asked, *ERRORS)
    ended(protocol.lost)
    with pytest.raises(ERRORS):
        protocol.execute_command("GET", "k")


@pytest.mark.parametrize("says", [b"+OK\r\n", b"-ERR max number of clients reached\r\n", b"HTTP/1.1 400\r\n\r\n"])
def test_what_nothing_was_asked_for_ends_it(says: bytes) -> None:
    protocol = Commands()
    transport = connected(protocol)
    protocol.dataReceived(says)
    assert transport.aborted


def test_messages_are_heard_between_answers() -> None:
    heard: list[bytes] = []
    protocol = Subscriber(heard.append)
    transport = connected(protocol)
    subscribed = protocol.execute_command("SUBSCRIBE", "c")
    protocol.dataReceived(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\na\r\n")
    ended(subscribed)
    pinged = protocol.execute_command("PING")
    protocol.dataReceived(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nb\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n")
    assert ended(pinged) == [b"pong", b""]
    assert heard == [b"a", b"b"]
    assert not transport.aborted


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"*1\r\n", b"$3\r\n", b":1\r\n", b"+\r\n", b"*-1\r\n"])))
def test_nothing_that_comes_raises_anything(pieces: list[bytes]) -> None:
    for protocol in (Commands(), Subscriber(lambda _: None)):
        transport = connected(protocol)
        asked = protocol.execute_command("PING")
        asked.addErrback(lambda _: None)
        for piece in pieces:
            if not transport.aborted:
                protocol.dataReceived(piece)
