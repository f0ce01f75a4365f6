"""The id of a request, made when somebody first asks for it; and on behalf of which request something is done just now.

A context variable (PEP 567): Twisted hands it on from one coroutine to those that it starts, so that whoever logs what
went wrong between a request and a disk need not know of requests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..policy.request_ids import RANDOM_BYTES, make_id

__all__ = ["RequestId", "current_request", "on_behalf_of"]


class RequestId:
    """The id of one request. Most are answered without: nobody asks for it.

    What goes on when a request is over, such as a transfer that others wait for, goes by the id that was made until
    then, and has none where nobody knows one.

    Arguments:
        given: returns the id that a trusted proxy gave it; None where none did.
    """

    __slots__ = ("_given", "_is_over", "_value")

    def __init__(self, given: Callable[[], str | None]) -> None:
        self._given = given
        self._value: str | None = None
        self._is_over = False

    @property
    def known(self) -> str | None:
        """The id, if it was made."""
        return self._value

    @property
    def value(self) -> str:
        """The id."""
        if self._value is None:
            self._value = self._given() or make_id(os.urandom(RANDOM_BYTES))
            self._given = _nobody
        return self._value

    def end(self) -> None:
        """Make none for the log any more: the request is over."""
        self._is_over = True
        # What goes on need not hold the request.
        self._given = _nobody

    @property
    def to_log(self) -> str | None:
        """The id for what the log says now; None where that could be found nowhere else."""
        return self._value if self._is_over else self.value


def _nobody() -> None:
    """Give no id."""


_current: ContextVar[RequestId | None] = ContextVar("_current", default=None)


@contextmanager
def on_behalf_of(request: RequestId | None) -> Iterator[None]:
    """Let what is done within the block, and the coroutines that it starts, be done on behalf of ``request``."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


def current_request() -> RequestId | None:
    """Return on behalf of which request something is done now; None is nobody's."""
    return _current.get()
