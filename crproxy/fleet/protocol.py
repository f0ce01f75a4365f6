"""The protocol of Valkey and Redis (RESP), as txredisapi speaks it. This is the only module that imports that.

Only its protocols are used, not its factories: those take the global reactor, wait for a connection for as long as it
takes, and give up for good where a password is refused once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import txredisapi
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

__all__ = ["ERRORS", "AnswersError", "Commands", "Subscriber"]

# What asking may fail with, but for the time that it takes; and of those, what Valkey itself has answered.
ERRORS: tuple[type[Exception], ...] = (txredisapi.RedisError,)
AnswersError: type[Exception] = txredisapi.ResponseError


class _Sound:
    """Ends a connection on which something comes that nothing was asked for, or that is not the protocol.

    txredisapi would take it for the answer to what is asked next, and each answer for another question's from then on.
    """

    transport: Any
    replyQueue: Any

    def __init__(self) -> None:
        super().__init__(charset=None, convertNumbers=False)  # type: ignore[call-arg]  # txredisapi's own
        # Fires when the connection has ended, however it did.
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """Take what comes (Protocol)."""
        try:
            super().dataReceived(data, unpause)  # type: ignore[misc]
        except ERRORS:
            self.transport.abortConnection()

    def replyReceived(self, reply: Any) -> None:
        """Take an answer (txredisapi)."""
        if self._was_asked_for(reply):
            super().replyReceived(reply)  # type: ignore[misc]
        else:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail what waits for an answer (Protocol)."""
        super().connectionLost(reason)  # type: ignore[misc]
        self.lost.callback(None)

    def _was_asked_for(self, reply: Any) -> bool:
        return bool(self.replyQueue.waiting)


class Commands(_Sound, txredisapi.RedisProtocol):  # type: ignore[misc]
    """A connection for commands and their answers, in bytes."""


class Subscriber(_Sound, txredisapi.SubscriberProtocol):  # type: ignore[misc]
    """A connection for what others publish.

    Arguments:
        heard: is called with each message.
    """

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        super().__init__()
        self._heard = heard

    def messageReceived(self, pattern: bytes | None, channel: bytes, message: bytes) -> None:
        """Hand on what was published (txredisapi)."""
        self._heard(message)

    def _was_asked_for(self, reply: Any) -> bool:
        return super()._was_asked_for(reply) or (isinstance(reply, list) and reply[:1] == [b"message"])
