"""A reactor whose turns are taken by hand, and whose time is in the test's hands: the sockets are real."""

from __future__ import annotations

import select
import socket
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Hands", "sockets"]

# More turns than any test needs: what goes round in circles fails here.
_MOST_TURNS = 100_000


@implementer(IReactorFDSet)
class Hands(Clock):
    """Tells connections what their sockets are ready for, as Twisted's reactors do."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def removeAll(self) -> list[Any]:
        gone = list(self.readers | self.writers)
        self.readers.clear()
        self.writers.clear()
        return gone

    def getReaders(self) -> list[Any]:
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        return list(self.writers)

    def turn(self) -> bool:
        """Take one turn; tell whether anything was to be done."""
        due = any(call.getTime() <= self.seconds() for call in self.getDelayedCalls())
        super().advance(0)
        ready = self._ready()
        for selectable, events in ready:
            if selectable in self.readers and events & ~select.POLLOUT:
                self._do(selectable, selectable.doRead, is_read=True)
            if selectable in self.writers and events & ~select.POLLIN:
                self._do(selectable, selectable.doWrite, is_read=False)
        return due or bool(ready)

    def settle(self) -> int:
        """Take turns until nothing is to be done; return how many there were."""
        for turns in range(_MOST_TURNS):
            if not self.turn():
                return turns
        raise AssertionError("there is always something to be done")

    def register(self, poll: select.poll) -> None:
        """Have ``poll`` wait for what this waits for."""
        for selectable in self.readers | self.writers:
            events = select.POLLIN * (selectable in self.readers) | select.POLLOUT * (selectable in self.writers)
            poll.register(selectable.fileno(), events)

    def advance(self, rightNow: float) -> None:
        """Let time pass, and then everything happen."""
        super().advance(rightNow)
        self.settle()

    def _ready(self) -> list[tuple[Any, int]]:
        poll = select.poll()
        self.register(poll)
        selectables = {selectable.fileno(): selectable for selectable in self.readers | self.writers}
        return [(selectables[fd], events) for fd, events in poll.poll(0)]

    def _do(self, selectable: Any, method: Any, *, is_read: bool) -> None:
        why = method()
        if why is None:
            return
        self.removeReader(selectable)
        self.removeWriter(selectable)
        if is_read and why is CONNECTION_DONE:
            selectable.readConnectionLost(Failure(why))
        else:
            selectable.connectionLost(Failure(why))


def sockets(*, unix: bool = False) -> tuple[socket.socket, socket.socket]:
    """Return two ends of a connection, the latter of which blocks."""
    if unix:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours, _ = listener.accept()
    return ours, theirs
