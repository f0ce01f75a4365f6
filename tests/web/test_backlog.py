from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from crproxy.web.backlog import backlog


class Transport:
    """What Twisted's FileDescriptor shows of itself: some of ``dataBuffer`` is gone, and more waits behind it."""

    dataBuffer = b"x" * 100
    offset = 30
    _tempDataLen = 7

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def getHandle(self) -> Any:
        return self._handle


class Wrapper:
    """TLS around a connection: its handle is no socket."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport

    def getHandle(self) -> object:
        return object()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection over TCP: ours, and one that reads when it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("wrappers", [0, 1, 2])
def test_s20_what_waits_here_is_counted(pair: tuple[socket.socket, socket.socket], wrappers: int) -> None:
    transport: Any = Transport(pair[0])
    for _ in range(wrappers):
        transport = Wrapper(transport)
    assert backlog(transport) == (77, 0)


def test_s20_and_what_waits_in_the_kernel_which_shrinks_as_it_is_taken(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    ours.setblocking(False)
    with suppress(BlockingIOError):
        while ours.send(b"x" * 65536):
            pass
    full = backlog(Transport(ours))
    assert full is not None
    assert full[1] > 0
    assert backlog(Transport(ours)) == full
    theirs.settimeout(5)
    while (now := backlog(Transport(ours))) == full:
        assert theirs.recv(65536)
    assert now is not None
    assert now[1] < full[1]


@pytest.mark.parametrize("transport", [object(), Wrapper(object()), Wrapper(Wrapper(Wrapper(Wrapper(None))))])
def test_where_nothing_can_be_seen_nothing_is(transport: object) -> None:
    assert backlog(transport) is None
