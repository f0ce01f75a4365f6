"""Which hosts answer nothing, so that nobody waits for them long, and not again and again.

A host whose answer has been waited for is probed, by a new connection: one that answers anything is slow, and is
waited for; one that does not is down. From then on nobody waits: one probe at a time finds out when it is back. The
first goes on for as long as a request would: if it is answered all the same, the host is slow, and is given more time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from ..config import Upstream
from ..policy.units import format_duration
from ..policy.urls import origin_of
from ..sharing import Alone, Sharing
from .agent import ask_anything
from .attempts import Attempt, Told, tell_nobody
from .errors import TRANSPORT_ERRORS, HostIsDown, RefusedAddress, RefusedByProxy, innermost, is_ours
from .relay import abandon

if TYPE_CHECKING:
    from treq.client import HTTPClient

__all__ = ["AlwaysUp", "Availability", "Host", "Outage", "Watch"]

Result = TypeVar("Result")

# Seconds without an answer after which a host is probed, and those that a probe takes: together what somebody waits who
# asks a silent upstream first. Two round trips by satellite, a lost SYN and a handshake are within 3.5.
_SUSPICION, _PROBE = 5.0, 3.5
# And what the first one may take in the end.
_LONGEST = 30.0
# A host that was found to be slow is given so many times as long as it took, in addition.
_SLOW_FACTOR = 2.0
# Between two probes: with one that began just before it was back, a host is asked again within 5 s of its return.
_PAUSE = 1.0
# A host is down for so long, unless a probe says so again: whoever probes may be gone.
_COUNTS_FOR = 2 * (_PROBE + _PAUSE)
# What the reactor may need to see an answer that is there already, when it is late itself.
_GRACE = 0.1
# Hosts that nobody has asked for so long are not probed any more.
_INTEREST = 60.0


@dataclass(frozen=True, slots=True)
class Host:
    """A host as it is asked for one registry: others may reach it in another way, or not be allowed to.

    Arguments:
        registry: by its name.
        origin: scheme, host and port, as a URL without a path.
    """

    registry: str
    origin: str

    @classmethod
    def of(cls, upstream: Upstream, url: str) -> Host:
        """Return the one that is asked for ``url``."""
        return cls(upstream.registry.name, str(origin_of(url)))


@dataclass(frozen=True, slots=True)
class Outage:
    """A host that is down.

    Arguments:
        since: when it was first waited for in vain, in seconds since the epoch.
        until: up to when this counts, unless another probe says so again.
    """

    since: float
    until: float

    def counts(self, now: float) -> bool:
        """Tell whether it does at ``now``: one that begins later is what a clock set back leaves behind."""
        return self.since <= now < self.until


@dataclass(slots=True, eq=False)
class _Waiting:
    """Somebody who waits.

    Arguments:
        asking: is cancelled where the host is down.
        is_down: that was done.
    """

    asking: Deferred[Any]
    is_down: bool = False


@dataclass(slots=True)
class _Watched:
    """What is known of a host in this worker.

    Arguments:
        upstream: how it was reached last.
        asked: when that was, by the clock.
        answers: how many there were.
        waiting: for its answers; each is ended when it is down.
        verdicts: wait for what the first probe shows.
        is_probed: a probe is under way, or the pause after one.
    """

    upstream: Upstream
    asked: float
    answers: int = 0
    waiting: list[_Waiting] = field(default_factory=list)
    verdicts: list[Deferred[None]] = field(default_factory=list)
    is_probed: bool = False


class Watch(Protocol):
    """Waits for hosts."""

    async def over(self, upstream: Upstream, url: str, ask: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Return what ``ask`` does, which waits for the host of ``url``.

        Raises:
            HostIsDown: it answers nobody.
        """

    def answered(self, upstream: Upstream, url: str) -> None:
        """The host of ``url`` has answered something."""


class AlwaysUp:
    """Every host is waited for (Watch)."""

    async def over(self, upstream: Upstream, url: str, ask: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Return what ``ask`` does (Watch)."""
        return await ask()

    def answered(self, upstream: Upstream, url: str) -> None:
        """Do nothing (Watch)."""


class Availability:
    """The hosts of one daemon (Watch).

    Arguments:
        client: makes requests to an upstream.
        clock: for waiting.
        now: seconds since the epoch.
        sharing: tells all workers which are down.
        told: of each probe.
    """

    _log = Logger()

    def __init__(
        self,
        client: Callable[[Upstream], HTTPClient],
        clock: IReactorTime,
        now: Callable[[], float],
        sharing: Sharing | None = None,
        told: Told = tell_nobody,
    ) -> None:
        self._told = told
        self._client = client
        self._clock = clock
        self._now = now
        self._watched: dict[Host, _Watched] = {}
        sharing = sharing or Alone()
        # By Host, each an Outage; by Host, the seconds that a probe took which came late.
        self._down = sharing.records("outages")
        self._slow = sharing.records("slow hosts")

    async def over(self, upstream: Upstream, url: str, ask: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Return what ``ask`` does (Watch)."""
        host = Host.of(upstream, url)
        watched = self._watched.setdefault(host, _Watched(upstream, 0.0))
        watched.upstream, watched.asked = upstream, self._clock.seconds()
        try:
            outage: Outage | None = self._down.get(host)
            if outage is not None:
                await self._admit(host, watched, outage)
            return await self._wait(host, watched, ask)
        finally:
            self._forget(host, watched)

    async def _wait(self, host: Host, watched: _Watched, ask: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        began, waiting = self._clock.seconds(), _Waiting(Deferred.fromCoroutine(ask()))
        watched.waiting.append(waiting)
        suspicion = self._clock.callLater(_SUSPICION + self._more_for(host), self._suspect, host, watched)
        try:
            result: Result = await waiting.asking
        except CancelledError:
            if waiting.is_down:
                raise HostIsDown(self._since(host)) from None
            raise
        finally:
            watched.waiting.remove(waiting)
            if suspicion.active():
                suspicion.cancel()
        if self._clock.seconds() - began < _SUSPICION and self._more_for(host):
            self._slow.drop(host)
        return result

    def _more_for(self, host: Host) -> float:
        """Return the seconds that a slow host is given in addition."""
        slow: float | None = self._slow.get(host)
        return 0.0 if slow is None else min(slow, _LONGEST) * _SLOW_FACTOR

    def answered(self, upstream: Upstream, url: str) -> None:
        """Note that it is up (Watch)."""
        watched = self._watched.get(Host.of(upstream, url))
        if watched is not None:
            watched.answers += 1

    async def _admit(self, host: Host, watched: _Watched, outage: Outage) -> None:
        """Return where it may be asked though it was down. Raises HostIsDown."""
        if not outage.counts(self._now()):
            # It was; nobody has looked for a while.
            verdict: Deferred[None] = Deferred(watched.verdicts.remove)
            watched.verdicts.append(verdict)
            self._suspect(host, watched)
            await verdict
        self._check(host)

    def _check(self, host: Host) -> None:
        outage: Outage | None = self._down.get(host)
        if outage is not None and outage.counts(self._now()):
            raise HostIsDown(self._since(host))

    def _since(self, host: Host) -> str:
        outage: Outage | None = self._down.get(host)
        seconds = _SUSPICION + _PROBE if outage is None else self._now() - outage.since
        return f"{host.origin} has not answered for {format_duration(max(1, round(seconds)))}"

    def _suspect(self, host: Host, watched: _Watched) -> None:
        if not watched.is_probed:
            watched.is_probed = True
            probing = Deferred.fromCoroutine(self._probe_until_up(host, watched))
            probing.addErrback(lambda failure: self._log.failure("a probe failed", failure))

    async def _probe_until_up(self, host: Host, watched: _Watched) -> None:
        try:
            is_up = await self._look(host, watched, _LONGEST)
            while not is_up:
                self._note_down(host, watched)
                _decide(watched)
                await deferLater(self._clock, _PAUSE)
                if self._down.get(host) is None or self._clock.seconds() - watched.asked > _INTEREST:
                    return
                is_up = await self._look(host, watched, 0.0)
            self._note_up(host)
        finally:
            watched.is_probed = False
            _decide(watched)
            self._forget(host, watched)

    async def _look(self, host: Host, watched: _Watched, patient: float) -> bool:
        """Tell whether the host answers anything; also where that cannot be found out.

        Arguments:
            patient: seconds that the probe may take in the end, beyond the time that it is waited for here.
        """
        upstream, before = watched.upstream, watched.answers
        began, most = self._clock.seconds(), _PROBE + self._more_for(host)
        # A connection that was kept may be dead without anybody's doing.
        http = self._client(replace(upstream, keepalive=False))
        verdict: Deferred[bool] = Deferred()

        def took() -> float:
            return self._clock.seconds() - began

        def end(is_up: bool) -> None:
            if not verdict.called:
                verdict.callback(is_up)

        def came(response: IResponse) -> None:
            abandon(response)
            self._told(Attempt.of_status(upstream.registry, took(), response.code, upstream.endpoint))
            if verdict.called:
                # Another probe may be under way.
                watched.answers += 1
                self._slow.put(host, took())
                self._note_up(host)
            end(True)

        probing = ask_anything(http, host.origin, max(most, patient), self._clock)
        probing.addCallbacks(came, lambda failure: end(_says_nothing(failure)))
        # When this is late itself, what is there already is seen a moment later.
        timer = self._clock.callLater(most + _GRACE, end, False)
        is_up = await verdict
        if timer.active():
            timer.cancel()
        if not is_up:
            self._told(Attempt.of_error(upstream.registry, took(), TookTooLong(), upstream.endpoint))
        if not patient and not probing.called:
            probing.cancel()
        return is_up or watched.answers != before

    def _note_down(self, host: Host, watched: _Watched) -> None:
        known: Outage | None = self._down.get(host)
        now = self._now()
        if known is None:
            self._log.warn("{origin} does not answer: it is not asked until it does", origin=host.origin)
        since = now - _SUSPICION - _PROBE if known is None else known.since
        self._down.put(host, Outage(since, now + _COUNTS_FOR + 2 * self._more_for(host)))
        for waiting in list(watched.waiting):
            waiting.is_down = True
            waiting.asking.cancel()

    def _note_up(self, host: Host) -> None:
        known: Outage | None = self._down.get(host)
        if known is not None:
            self._down.drop(host)
            outage = format_duration(max(0, round(self._now() - known.since)))
            self._log.info("{origin} answers again after {outage}", origin=host.origin, outage=outage)

    def _forget(self, host: Host, watched: _Watched) -> None:
        if not (watched.waiting or watched.verdicts or watched.is_probed):
            self._watched.pop(host, None)


def _says_nothing(failure: Failure) -> bool:
    """Tell whether a probe that failed shows nothing of its host."""
    error = failure.value
    if error is None or not isinstance(error, TRANSPORT_ERRORS):
        return True
    return is_ours(error) or isinstance(innermost(error), RefusedAddress | RefusedByProxy)


def _decide(watched: _Watched) -> None:
    while watched.verdicts:
        watched.verdicts.pop(0).callback(None)
