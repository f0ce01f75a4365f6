"""What operators have begun on the page, and what goes on without it: at most a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...policy.request_ids import with_id
from ...sharing import Count
from ...web.current_request import current_request
from ..documents import Mistake
from .overview import Job

__all__ = ["Jobs", "ReadProgress"]

# Under way, of all workers; and shown, of this one.
_MOST, _SHOWN = 8, 20

# Returns how many bytes are done, of how many.
ReadProgress = Callable[[], tuple[int, int]]


@dataclass(slots=True, eq=False)
class _Begun:
    job: Job
    progress: ReadProgress
    # By which the log tells of it, also when its request is over.
    request_id: str | None
    running: Deferred[None] | None = None

    def seen(self) -> Job:
        done, total = self.progress()
        return replace(self.job, done=done, total=total)

    def told(self, trouble: str) -> str:
        """Return what is shown of a trouble."""
        return trouble if self.request_id is None else with_id(trouble, self.request_id)


class Jobs:
    """Runs them.

    Arguments:
        now: seconds since the epoch.
        counts: how many run, by what they do, in all workers.
    """

    _log = Logger()

    def __init__(self, now: Callable[[], float], counts: Count) -> None:
        self._now = now
        self._counts = counts
        self._begun: list[_Begun] = []

    def seen(self) -> tuple[Job, ...]:
        """Return those of this worker, the latest first; the last of those that are over, too."""
        return tuple(one.seen() for one in reversed(self._begun))

    def begin(
        self,
        kind: str,
        what: str,
        work: Callable[[], Coroutine[Deferred[Any], Any, str]],
        progress: ReadProgress,
    ) -> None:
        """Begin something.

        Arguments:
            work: does it, and returns what is to be told of it: empty where all is well.
            progress: returns how far it is.

        Raises:
            Mistake: 409, it is under way, or too much else is.
        """
        name = f"{kind} {what}"
        # Both are counted before it is decided: what two workers begin at once, both must see.
        is_running, is_much = self._counts.add(name) > 1, self._counts.add("all") > _MOST
        if is_running or is_much:
            self._uncount(name)
            raise Mistake("this is under way already, or too much else is: try again later", 409)
        current = current_request()
        one = _Begun(Job(kind, what, self._now()), progress, None if current is None else current.value)
        over = [old for old in self._begun if old.job.is_over]
        for old in over[: max(0, len(self._begun) + 1 - _SHOWN)]:
            self._begun.remove(old)
        self._begun.append(one)
        one.running = Deferred.fromCoroutine(self._run(one, work()))
        one.running.addErrback(self._stumbled, one).addBoth(lambda _: self._over(one, name))

    def stop(self) -> None:
        """End all of them."""
        for one in list(self._begun):
            if one.running is not None and not one.job.is_over:
                one.running.cancel()

    async def _run(self, one: _Begun, work: Coroutine[Deferred[Any], Any, str]) -> None:
        trouble = await work
        one.job = replace(one.job, trouble=one.told(trouble) if trouble else "")

    def _stumbled(self, failure: Failure, one: _Begun) -> None:
        if failure.check(CancelledError):
            one.job = replace(one.job, trouble="stopped")
            return
        one.job = replace(one.job, trouble=one.told(failure.getErrorMessage() or "it failed"))
        self._log.failure("what was begun on the operator's page has failed", failure, request_id=one.request_id)

    def _over(self, one: _Begun, name: str) -> None:
        one.job = replace(one.job, is_over=True)
        self._uncount(name)

    def _uncount(self, name: str) -> None:
        self._counts.remove(name)
        self._counts.remove("all")
