"""What the first process and a worker say to each other, over a pair of sockets that nobody else has.

Each message is a pickle, after its length: both ends are this program, of this version.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from ..config import ConfigError
from ..sharing import Answer

__all__ = ["Channel", "NoAnswer"]

# Bytes of one message: a configuration of some thousand names is a few hundred KiB.
_LONGEST = 256 * 1024 * 1024


class NoAnswer(Exception):
    """What was asked cannot be answered: nobody answers such a thing, or the other end is gone."""


@dataclass(frozen=True, slots=True)
class _Told:
    topic: str
    payload: Any


@dataclass(frozen=True, slots=True)
class _Asked:
    number: int
    topic: str
    payload: Any


@dataclass(frozen=True, slots=True)
class _Answered:
    number: int
    result: Any = None
    error: Exception | None = None


class Channel(Int32StringReceiver):
    """One end.

    Arguments:
        on_lost: is called when the other end is gone.
    """

    MAX_LENGTH = _LONGEST
    _log = Logger()

    def __init__(self, on_lost: Callable[[], object] = lambda: None) -> None:
        self._on_lost = on_lost
        self._answers: dict[str, Answer] = {}
        self._asked: dict[int, Deferred[Any]] = {}
        self._number = 0
        self._is_open = False

    def on(self, topic: str, answer: Answer) -> None:
        """Call ``answer`` with what is told or asked under ``topic``."""
        self._answers[topic] = answer

    def tell(self, topic: str, payload: Any = None) -> None:
        """Say something that is not answered; to one that is gone, nothing."""
        if self._is_open:
            self._send(_Told(topic, payload))

    def ask(self, topic: str, payload: Any = None) -> Deferred[Any]:
        """Return the answer. Fails with what it fails with there; with NoAnswer where that end is gone."""
        if not self._is_open:
            return fail(NoAnswer(topic))
        self._number += 1
        number = self._number
        self._send(_Asked(number, topic, payload))
        answered = self._asked[number] = Deferred(lambda _: self._forget(number))
        return answered

    def connectionMade(self) -> None:
        """The other end may be spoken to (Protocol)."""
        self._is_open = True

    def stringReceived(self, string: bytes) -> None:
        """Take in a message (Int32StringReceiver)."""
        message = pickle.loads(string)  # noqa: S301 - from this program's other process, and from nobody else
        match message:
            case _Told():
                self._answer(message.topic, message.payload).addErrback(self._stumbled, message.topic)
            case _Asked():
                answered = self._answer(message.topic, message.payload)
                answered.addCallback(lambda result: self._send(_Answered(message.number, result)))
                # Of an answer that cannot be sent as well: whoever asked waits for one.
                answered.addErrback(self._excuse, message)
            case _Answered():
                self._take(message)

    def lengthLimitExceeded(self, length: int) -> None:
        """Say so (Int32StringReceiver)."""
        self._log.error("a message of {length} bytes is too long: the connection is closed", length=length)
        super().lengthLimitExceeded(length)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other end is gone (Protocol)."""
        self._is_open = False
        asked, self._asked = self._asked, {}
        for answered in asked.values():
            answered.errback(NoAnswer("the other end is gone"))
        self._on_lost()

    def _forget(self, number: int) -> None:
        self._asked.pop(number, None)

    def _send(self, message: _Told | _Asked | _Answered) -> None:
        if not self._is_open:
            return
        try:
            self.sendString(pickle.dumps(message))
        except (pickle.PicklingError, AttributeError) as error:
            raise TypeError(f"this cannot be sent: {error}") from error

    def _answer(self, topic: str, payload: Any) -> Deferred[Any]:
        answer = self._answers.get(topic)
        if answer is None:
            return fail(NoAnswer(topic))
        return maybeDeferred(answer, payload)

    def _excuse(self, failure: Failure, asked: _Asked) -> None:
        self._stumbled(failure, asked.topic)
        self._send(_Answered(asked.number, error=_portable(failure.value)))

    def _take(self, answered: _Answered) -> None:
        waiting = self._asked.pop(answered.number, None)
        if waiting is None:
            return
        if answered.error is None:
            waiting.callback(answered.result)
        else:
            waiting.errback(answered.error)

    def _stumbled(self, failure: Failure, topic: str) -> None:
        # What there is a word for is for whoever asked.
        if not failure.check(NoAnswer, ConfigError):
            self._log.failure("{topic} could not be dealt with", failure, topic=topic)


def _portable(error: BaseException | None) -> Exception:
    """Return ``error`` as it can be sent."""
    if isinstance(error, Exception):
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        except Exception:
            return NoAnswer(f"{type(error).__name__}: {error}")
        return error
    return NoAnswer(str(error))
