"""A question that is asked again where its failure may pass."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ..policy.retries import wait_before_retry

__all__ = ["retry"]

Answered = TypeVar("Answered")


async def retry(
    attempt: Callable[[], Coroutine[Deferred[Any], Any, Answered | Exception]],
    passes: Callable[[Answered], bool],
    discard: Callable[[Answered], object],
    retries: int,
    seconds: float,
    clock: IReactorTime,
) -> Answered | Exception:
    """Return what the last attempt gave: an answer, or the error in its place.

    Arguments:
        attempt: asks once; returns an error after which to ask again, and raises others.
        passes: tells whether an answer is one of a server that is away for a moment.
        discard: lets go of such an answer.
        retries: how many attempts may follow the first.
        seconds: after which none is begun: all together take no longer than one may, for containerd waits 30 s for a
            header.
    """
    number, deadline = 1, clock.seconds() + seconds
    while True:
        outcome = await attempt()
        wait = None if clock.seconds() >= deadline else wait_before_retry(number, retries)
        if wait is None:
            return outcome
        if not isinstance(outcome, Exception):
            if not passes(outcome):
                return outcome
            discard(outcome)
        await deferLater(clock, wait)
        number += 1
