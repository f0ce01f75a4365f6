"""The operator's page, put together: what all workers see, and what can be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.resource import IResource

from ..admin.cache_work import CacheWork
from ..admin.page import (
    Fill,
    Gate,
    OperatorPage,
    Overview,
    Seen,
    Sources,
    UpstreamState,
    User,
    make_own_site,
    merged,
)
from ..admin.page.actions import Actions
from ..admin.page.gate import wrong_logins
from ..admin.page.jobs import Jobs
from ..admin.page.stream import Streams
from ..admin.page.tags import look_at_tags
from ..policy.history import History
from ..policy.routing import Names
from ..pullthrough.passing import BlobSource
from ..tls.plan import NameState
from ..upstream.single_flight import SingleFlight
from ..web.page.assets import Assets
from ..web.site import PlainSite
from .admin_api import tag_work
from .core import Core
from .history import HistoryService, totals_of
from .page_state import state_of
from .recent_errors import RecentErrors

__all__ = ["OperatorsPage"]

Result = TypeVar("Result")
# How it stands with each name, and who has issued its certificate.
_Certificates = tuple[list[NameState], dict[str, str]]

_SEEN, _HISTORY, _CERTIFICATES = "operator: seen", "operator: history", "operator: certificates"
# Seconds that an overview is good for, of all who look.
_FRESH = 0.5


class OperatorsPage(MultiService):
    """The page, and what it needs while the daemon runs.

    Arguments:
        core: what it is about.
    """

    def __init__(self, core: Core) -> None:
        super().__init__()
        self._core = core
        sharing = core.sharing
        self._errors = RecentErrors(core.now)
        self._errors.setServiceParent(self)
        self._history: HistoryService | None = None
        if sharing.leads:
            path = Path(core.configuration().data_dir) / "history.json"
            self._history = HistoryService(path, lambda: totals_of(core.gathering.known()), core.reactor, now=core.now)
            self._history.setServiceParent(self)
        self._jobs = Jobs(core.now, sharing.count("operators' jobs"))
        self._state = state_of(
            core.cache.store, core.ends, core.meters.upstreams, core.gathering.known, core.commons.state
        )
        self._asking: SingleFlight[str, Overview] = SingleFlight()
        self._answered: dict[str, Any] = {}
        self._last: tuple[float, Overview] | None = None
        self._assets = Assets()
        self._wrong = wrong_logins(sharing.levels("wrong logins of operators"), core.reactor)
        self._sources = self._make_sources()
        sharing.on(_SEEN, lambda _: self.seen())
        sharing.on(_HISTORY, lambda _: self._history_of_all())
        sharing.on(_CERTIFICATES, lambda _: self._certificates())

    def stopService(self) -> Deferred[Any] | None:
        """End what was begun (IService)."""
        self._jobs.stop()
        stopped: Deferred[Any] | None = super().stopService()
        return stopped

    def resource(self) -> IResource:
        """Return what answers at ``/admin`` of the proxy itself."""
        return OperatorPage(self._gate(is_own=False), self._sources)

    def site(self) -> PlainSite:
        """Return the site of the page's own endpoint."""
        core = self._core
        return make_own_site(self._gate(is_own=True), self._sources, self._assets, core.reactor, core.observe)

    def seen(self) -> Seen:
        """Return what this worker sees."""
        core = self._core
        return Seen(
            tuple(self._fills()),
            tuple(core.traffic.serving(core.reactor.seconds())),
            self._jobs.seen(),
            self._errors.troubles,
            dict(core.traffic.pulls),
            dict(core.traffic.users),
        )

    async def overview(self) -> Overview:
        """Return what there is to see, in all workers; many who look at once share it."""
        if self._last is not None and 0 <= self._core.reactor.seconds() - self._last[0] < _FRESH:
            return self._last[1]
        overview = await self._asking.run("overview", self._look)
        self._last = self._core.reactor.seconds(), overview
        return overview

    async def _look(self) -> Overview:
        sharing = self._core.sharing
        others: list[Seen] = await sharing.ask_all(_SEEN)
        history: History = await self._ask_leader(_HISTORY, History())
        certificates: _Certificates = await self._ask_leader(_CERTIFICATES, ([], {}))
        seen = merged([self.seen(), *others])
        return Overview(
            self._core.now(),
            seen,
            self._state(),
            history,
            tuple(self._upstreams()),
            tuple(certificates[0]),
            certificates[1],
            self._users(seen),
        )

    async def _ask_leader(self, topic: str, otherwise: Result) -> Result:
        """Return what the leading worker answers, and while it is being replaced, what it answered last."""
        try:
            answered: Result = await self._core.sharing.ask_leader(topic)
        except CancelledError:
            raise
        except Exception:
            known: Result = self._answered.get(topic, otherwise)
            return known
        self._answered[topic] = answered
        return answered

    def _fills(self) -> Iterator[Fill]:
        for flight in self._core.cache.flights.running:
            source = flight.source
            repository = str(source.view.repository) if isinstance(source, BlobSource) else str(flight.key.origin)
            yield Fill(repository, str(flight.entry.digest), flight.filled, flight.size, flight.rate)

    def _history_of_all(self) -> History:
        return History() if self._history is None else self._history.look()

    def _certificates(self) -> _Certificates:
        certificates = self._core.certificates
        if certificates is None:
            return [], {}
        return certificates.states(), certificates.issuers()

    def _upstreams(self) -> Iterator[UpstreamState]:
        core = self._core
        found = {name: UpstreamState(name, up) for name, up in core.meters.upstreams.up.items()}
        for registry, quota in core.quotas.known().items():
            known = found.get(str(registry), UpstreamState(str(registry)))
            found[str(registry)] = replace(known, remaining=quota.remaining, limit=quota.limit)
        for limited, limit in core.quotas.limits().items():
            name = str(limited.registry)
            known = found.get(name, UpstreamState(name))
            what = f"{limited.what} {limited.repository}".strip()
            found[name] = replace(known, limited=(*known.limited, (what, limit.until)))
        for (name, url), up in core.meters.upstreams.endpoints_up.items():
            found[f"{name} {url}"] = UpstreamState(f"{name} {url}", up)
        yield from sorted(found.values(), key=lambda one: (not one.is_in_trouble, one.name))

    def _users(self, seen: Seen) -> tuple[User, ...] | None:
        clients = self._core.configuration().clients
        if clients.users is None:
            return None
        return tuple(User(name, name in clients.admins, seen.users.get(name)) for name in sorted(clients.users))

    def _make_sources(self) -> Sources:
        core = self._core
        cache = core.cache

        def names() -> Names:
            return core.configuration().names

        work = CacheWork(cache.store, cache.inventory, cache.threads, names, core.reactor, cache.pins)
        tags = tag_work(core)
        return Sources(
            self.overview,
            work.images,
            lambda: look_at_tags(tags),
            Actions(cache.store, work, tags, core.warming(), self._jobs, core.reactor),
            Streams(core.sharing.count("operators' streams"), core.reactor),
            self._assets.url,
        )

    def _gate(self, *, is_own: bool) -> Gate:
        core = self._core
        token_key = core.commons.token_key
        key = core.sharing.secret if token_key is None else token_key()
        login = core.login_service.login
        return Gate(core.configuration, login, core.accounts, self._wrong, key, is_own=is_own)
