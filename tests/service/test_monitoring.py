from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import MultiService

from crproxy.config import Config, Listen, Metrics
from crproxy.service.assembly import make_service
from crproxy.service.core import Core
from crproxy.service.current_configuration import CurrentConfiguration
from crproxy.service.graceful_shutdown import Listeners
from crproxy.service.listening import Listener
from crproxy.service.monitoring import Monitoring
from tests.memory import Network, ended
from tests.metrics.records import record
from tests.service.test_assembly import Reactor
from tests.web.conftest import Browser

ENDPOINT = "tcp:9090:interface=127.0.0.1"


class Asked:
    """A daemon that was put together, and what its monitoring says."""

    def __init__(self, directory: Path) -> None:
        self.reactor = Reactor()
        current = CurrentConfiguration(Config(data_dir=str(directory), listen=Listen(admin="")), lambda: current())
        self.core = Core.make(current, self.reactor)
        self.listeners = Listeners(1.0, lambda *_: None, self.reactor)
        self.listeners.watch(self.core.site())
        self.site = Monitoring(self.core, self.listeners).site()
        self.listeners.privilegedStartService()
        self.listeners.startService()

    def ask(self, name: str) -> tuple[int, str]:
        received = Browser(self.site, Network()).get(f"/{name}")
        return received.status, received.body.decode()


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path)
    yield asked
    asked.core.cache.store.index.close()


def test_a_daemon_that_runs_is_ready(asked: Asked) -> None:
    assert asked.ask("healthz") == (200, "crproxy: ok\n")
    assert asked.ask("readyz") == (200, "data directory: ok\nindex: ok\n")


def test_one_that_stops_is_not_but_lives(asked: Asked) -> None:
    asked.listeners.stopService()
    status, text = asked.ask("readyz")
    assert (status, text.splitlines()[0]) == (503, "daemon: it is stopping")
    assert asked.ask("healthz")[0] == 200
    asked.reactor.advance(1)


def test_one_that_does_not_listen_is_not_unless_it_need_not(asked: Asked) -> None:
    silent: Any = None
    asked.listeners.services.append(Listener("tcp:1", silent, silent, optional=True))
    assert asked.ask("readyz")[0] == 200
    asked.listeners.services.append(Listener("tcp:2", silent, silent))
    status, text = asked.ask("readyz")
    assert status == 503
    assert "tcp:2: it is not listened on" in text


def test_an_index_that_cannot_be_read_is_told(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(asked.core.cache.store.index, "check", broken)
    status, text = asked.ask("readyz")
    assert status == 503
    assert "index: it cannot be read: disk I/O error" in text


def test_where_nothing_can_be_kept_it_says_so_and_is_ready(asked: Asked, tmp_path: Path) -> None:
    """A disk that is gone makes it a pass-through, not an outage."""
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    asked.core.cache.store.index.lasts = False
    status, text = asked.ask("readyz")
    assert status == 200
    assert "data directory: it cannot be written: nothing is kept" in text
    assert "index: it does not open" in text


def test_requests_are_counted_and_written_down(asked: Asked) -> None:
    asked.core.observe(record())
    text = asked.ask("metrics")[1]
    assert 'crproxy_requests_total{cache="none",method="GET",registry="quay.io",status="200"} 1.0' in text
    assert 'crproxy_connections{site="registry"} 0.0' in text
    assert "crproxy_disk_free_bytes" in text


@pytest.mark.parametrize(("listen", "ports"), [(None, []), (ENDPOINT, [(9090, "127.0.0.1")])])
def test_it_listens_where_it_is_told_to(listen: str | None, ports: list[tuple[int, str]], tmp_path: Path) -> None:
    reactor = Reactor()
    config = Config(data_dir=str(tmp_path), listen=Listen((), admin=""), metrics=Metrics(listen))
    service = make_service(config, reactor)
    assert isinstance(service, MultiService)
    service.privilegedStartService()
    service.startService()
    assert [(port, interface) for port, _, _, interface in reactor.tcpServers] == ports
    sites: list[Any] = [site for _, site, _, _ in reactor.tcpServers]
    for site in sites:
        assert set(names(site.resource)) == {"metrics", "healthz", "readyz"}
    ended(service.stopService())


def names(resource: Any) -> list[str]:
    return [name.decode() for name in resource.listNames()]


def test_the_operator_has_it_too(tmp_path: Path) -> None:
    reactor = Reactor()
    service = make_service(Config(data_dir=str(tmp_path), listen=Listen((), admin="unix:/x")), reactor)
    assert isinstance(service, MultiService)
    service.privilegedStartService()
    ((_, site, *_),) = reactor.unixServers
    assert {"metrics", "healthz", "readyz", "aliases"} <= set(names(site.resource))
