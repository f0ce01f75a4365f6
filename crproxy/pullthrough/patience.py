"""How long a client waits for upstream where something is kept that could be served to it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..oci.errors import RegistryError
from ..oci.names import Registry
from ..policy.refusals import unavailable

__all__ = ["Patience"]

Result = TypeVar("Result")


class Patience:
    """Waits for upstreams.

    Arguments:
        seconds: at the most, where what is kept may be served instead; the question goes on behind it.
        clock: for that.
    """

    def __init__(self, seconds: float, clock: IReactorTime) -> None:
        self._seconds = seconds
        self._clock = clock
        # Questions that somebody has waited for long enough.
        self._late: set[Hashable] = set()

    async def run(
        self,
        question: tuple[Hashable, ...],
        registry: Registry,
        ask: Callable[[], Coroutine[Deferred[Any], Any, Result]],
        instead: Callable[[RegistryError], Result],
    ) -> Result:
        """Return what ``ask`` does; where it fails or takes too long what ``instead`` does, which may raise its error.

        Arguments:
            question: what tells it from others: of one that takes long only the first client waits.
            instead: is called again, for what it notes, when a question that was left fails in the end.
            registry: who is asked, for the message.

        Raises:
            RegistryError: neither of them has an answer.
        """
        late = unavailable(registry, f"it has not answered for {self._seconds:g} s")
        if question in self._late:
            found = _try(instead, late)
            if found is not None:
                return found
        asking = _Asking(Deferred.fromCoroutine(ask()))
        if not await asking.ends_in(self._seconds, self._clock):
            found = _try(instead, late)
            if found is not None:
                self._late.add(question)
                asking.leave(lambda: self._late.discard(question), lambda error: _try(instead, error))
                return found
        try:
            return await asking.result()
        except RegistryError as error:
            return instead(error)


class _Asking(Generic[Result]):
    """A question under way: who waits for it may leave it to itself."""

    _log = Logger()

    def __init__(self, asking: Deferred[Result]) -> None:
        self._asking = asking
        self._outcome: Result | Failure | None = None
        self._has_ended = False
        self._told: Callable[[], object] = _nobody
        asking.addBoth(self._end)

    def _end(self, outcome: Result | Failure) -> None:
        self._outcome, self._has_ended = outcome, True
        self._told()

    async def ends_in(self, seconds: float, clock: IReactorTime) -> bool:
        """Tell whether it comes to an end in time, whatever that is. Cancelled, it is cancelled itself."""
        if self._has_ended:
            return True
        waiting: Deferred[None] = Deferred(lambda _: self._asking.cancel())
        self._told = lambda: waiting.callback(None)
        timer = clock.callLater(seconds, waiting.callback, None)
        try:
            await waiting
        finally:
            self._told = _nobody
            if timer.active():
                timer.cancel()
        return self._has_ended

    async def result(self) -> Result:
        """Return what comes of it, at its end; or raise that."""
        if not self._has_ended:
            waiting: Deferred[None] = Deferred(lambda _: self._asking.cancel())
            self._told = lambda: waiting.callback(None)
            await waiting
        if isinstance(self._outcome, Failure):
            self._outcome.raiseException()
        return cast("Result", self._outcome)

    def leave(self, ended: Callable[[], object], failed: Callable[[RegistryError], object]) -> None:
        """Let it go on for nobody: what comes of it is noted where it was asked.

        Arguments:
            ended: is called at its end.
            failed: is told why it failed: a registry's own 404 counts though nobody waits for it.
        """

        def end() -> None:
            ended()
            error = self._outcome.value if isinstance(self._outcome, Failure) else None
            if isinstance(error, RegistryError):
                failed(error)
            elif isinstance(self._outcome, Failure):
                self._log.failure("a question that nobody waits for failed", self._outcome)

        self._told = end


def _nobody() -> None:
    """Nobody is told."""


def _try(instead: Callable[[RegistryError], Result], error: RegistryError) -> Result | None:
    try:
        return instead(error)
    except RegistryError:
        return None
