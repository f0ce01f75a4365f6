"""A reply whose body counts as a fill until it ends, whatever its end.

Where the body comes from is not known here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer

from ..limits import Body
from .reply import Reply

__all__ = ["Counted", "Ending", "counted"]

Result = TypeVar("Result")


async def counted(reply: Awaitable[Reply], end: Callable[[], object]) -> Reply:
    """Return ``reply``; ``end`` is called once, when its body has ended or was let go, or where there is no reply."""
    try:
        came = await reply
    except BaseException:
        end()
        raise
    return replace(came, body=Counted(came.body, end))


class Ending:
    """Calls ``end`` the first time that it is called."""

    def __init__(self, end: Callable[[], object]) -> None:
        self._end: Callable[[], object] | None = end

    @property
    def is_over(self) -> bool:
        """Whether it was."""
        return self._end is None

    def __call__(self) -> None:
        """Call it."""
        end, self._end = self._end, None
        if end is not None:
            end()


class Counted:
    """A body whose end is told of (Body).

    Arguments:
        body: the body itself.
        end: is called once, at its end.
    """

    def __init__(self, body: Body, end: Callable[[], object]) -> None:
        self._body = body
        self._end = Ending(end)

    @property
    def length(self) -> int | None:
        """Bytes, where that is known (Body)."""
        return self._body.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let it flow (Body). Cancelling ends it, too."""
        return self._body.join(consumer).addBoth(self._ended)

    def abandon(self) -> None:
        """Let go of it (Body)."""
        self._body.abandon()
        self._ended(None)

    def _ended(self, outcome: Result) -> Result:
        self._end()
        return outcome
