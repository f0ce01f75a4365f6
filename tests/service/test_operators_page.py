"""What the operator's page is made of, read from a daemon that is put together as always."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger

from crproxy.admin.page import Overview, Seen, Trouble
from crproxy.config import Admin, Clients, Config
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.audit import CacheState, Ending, Record
from crproxy.policy.history import DAY, History, Totals
from crproxy.policy.quotas import limited
from crproxy.service.core import Core
from crproxy.service.current_configuration import CurrentConfiguration
from crproxy.service.graceful_shutdown import Listeners
from crproxy.service.monitoring import Monitoring
from crproxy.service.operators_page import OperatorsPage
from crproxy.sharing import Alone
from crproxy.upstream.attempts import Attempt
from tests.logs import Log
from tests.memory import ended

NOW = 1_800_000_000.0
PULL = Record(
    NOW, "registry", "192.0.2.1", "bob", "GET", "/v2/quay.io/a/b/manifests/v1", "HTTP/1.1", None, None, "quay.io",
    "a/b", "v1", 200, 1000, 0.0, CacheState.HIT, Ending.WHOLE,
)  # fmt: skip


class Others(Alone):
    """A worker that has others, which answer as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Any] = []
        self.asked: list[str] = []

    def ask_all(self, topic: str, payload: Any = None) -> Deferred[list[Any]]:
        self.asked.append(topic)
        answered: Deferred[list[Any]] = Deferred()
        answered.callback(self.answers)
        return answered


class House:
    """A daemon that does not run, but for its page."""

    def __init__(self, path: Path) -> None:
        self.reactor = MemoryReactorClock()
        clients = Clients(users={"alice": b"x", "bob": b"x"}, admins=frozenset({"alice"}))
        self.config = Config(data_dir=str(path), clients=clients, admin=Admin("unix:/x"))
        self.sharing = Others()
        now: Callable[[], float] = lambda: NOW + self.reactor.seconds()  # noqa: E731
        current = CurrentConfiguration(self.config, lambda: self.config)
        self.core = Core.make(current, self.reactor, now=now, sharing=self.sharing)
        Monitoring(self.core, Listeners(0.0, lambda number, grace: None, self.reactor))
        self.page = OperatorsPage(self.core)
        self.page.startService()

    def overview(self) -> Overview:
        self.reactor.advance(1)
        return ended(Deferred.fromCoroutine(self.page.overview()))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with Log(collects=False):
        house = House(tmp_path)
        yield house
        house.page.stopService()
        house.core.cache.store.index.close()


def test_what_was_pulled_is_known_with_its_user(house: House) -> None:
    house.core.observe(PULL)
    overview = house.overview()
    assert [(key, pull.who) for key, pull in overview.seen.pulls.items()] == [(("quay.io/a/b", "v1"), "bob")]
    assert overview.users is not None
    assert [(user.name, user.is_admin, user.seen is not None) for user in overview.users] == [
        ("alice", True, False),
        ("bob", False, True),
    ]


def test_what_other_workers_see_is_seen(house: House) -> None:
    house.sharing.answers = [Seen(troubles=(Trouble("elsewhere", NOW),))]
    Logger("test").warn("here")
    assert {trouble.text for trouble in house.overview().seen.troubles} == {"here", "elsewhere"}


@pytest.mark.security("S37")
def test_many_who_look_at_once_share_one_look(house: House) -> None:
    house.overview()
    for _ in range(5):
        ended(Deferred.fromCoroutine(house.page.overview()))
    assert len(house.sharing.asked) == 1
    house.reactor.advance(0.6)
    ended(Deferred.fromCoroutine(house.page.overview()))
    assert len(house.sharing.asked) == 2


def test_what_is_counted_is_in_the_history(house: House) -> None:
    house.core.observe(PULL)
    house.core.observe(replace(PULL, cache=CacheState.STORED, sent=500))
    house.core.meters.upstreams.received(700)
    overview = house.overview()
    buckets = [bucket.totals for bucket in overview.history.buckets(DAY, overview.now) if bucket.totals != Totals()]
    assert buckets == [Totals(2, 1, 1500, 700)]


def test_upstreams_have_quotas_and_limits_and_those_in_trouble_are_first(house: House) -> None:
    core = house.core
    core.meters.upstreams.attempted(Attempt(Registry("quay.io"), 0.1))
    core.quotas.note(Registry("ghcr.io"), {"ratelimit-limit": "100;w=60", "ratelimit-remaining": "7"})
    busy = RegistryError(ErrorCode.TOOMANYREQUESTS, "slow down", retry_after=60)
    core.quotas.refused(limited(DOCKER_HUB.repository("nginx"), "https://x", "", "GET", "manifests"), busy)
    first, *others = house.overview().upstreams
    assert (first.name, first.is_in_trouble) == ("docker.io", True)
    assert [what for what, _ in first.limited] == ["GET manifests"]
    assert [(one.name, one.up, one.remaining, one.limit) for one in others] == [
        ("ghcr.io", None, 7, 100),
        ("quay.io", True, None, None),
    ]


def test_without_tls_there_are_no_certificates(house: House) -> None:
    overview = house.overview()
    assert (overview.certificates, overview.issuers) == ((), {})


def test_while_the_leader_is_away_what_it_said_last_is_shown(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.core.observe(PULL)
    history = house.overview().history

    def away(topic: str, payload: Any = None) -> Deferred[Any]:
        return fail(RuntimeError("nobody answers"))

    monkeypatch.setattr(house.sharing, "ask_leader", away)
    assert house.overview().history == history
    house.page._answered.clear()
    overview = house.overview()
    assert (overview.history, overview.certificates) == (History(), ())


def test_history_is_kept_when_it_stops(house: House, tmp_path: Path) -> None:
    house.page.stopService()
    assert (tmp_path / "history.json").exists()
    house.page.startService()
