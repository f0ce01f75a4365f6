from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource

from crproxy.config import Config, Forward
from crproxy.forward.authorities import DIRECTORY
from crproxy.forward.authority import AUTHORITY_SECONDS
from crproxy.forward.connect import Settings
from crproxy.forward.switching import Switching
from crproxy.login import Login
from crproxy.oci.errors import RegistryError
from crproxy.oci.names import Registry
from crproxy.policy.authorities import OVERLAP_SECONDS
from crproxy.policy.connecting import HostPattern
from crproxy.policy.proxies import Proxies, Proxy
from crproxy.policy.routing import Names
from crproxy.policy.urls import Origin
from crproxy.service.current_configuration import CurrentConfiguration
from crproxy.service.forwarding import ForwardingService
from crproxy.service.starting import CannotStart
from crproxy.sharing import Alone
from crproxy.upstream.errors import RefusedAddress
from crproxy.web.site import PlainSite
from tests.logs import Log
from tests.memory import Network, ended, failure_of
from tests.web.conftest import Browser

NOW = 1_800_000_000.0
QUAY, CORP = Registry("quay.io"), Registry("registry.example.com")
DAY = 86400.0


class Told(Alone):
    """Workers of which this is the only one; what it tells is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.heard: dict[str, Callable[..., Any]] = {}

    def on(self, topic: str, answer: Any) -> None:
        self.heard[topic] = answer

    def tell(self, topic: str, message: Any = None) -> None:
        self.told.append(topic)


class World:
    """A proxy for what has an alias, and for registry.example.com."""

    def __init__(self, directory: Path, **config: Any) -> None:
        forward = Forward(("tcp:3128",), registries=frozenset({CORP}), tunnels=(HostPattern("a.test"),))
        names = Names("cr.test", {"quay.cr.test": QUAY})
        self.config = Config(names, data_dir=str(directory), forward=forward, **config)
        self.configuration = CurrentConfiguration(self.config, lambda: self.config)
        self.network = Network()
        self.clock = self.network.clock
        self.sharing = Told()
        self.service = self.another(self.sharing)

    def another(self, sharing: Told) -> ForwardingService:
        """What another process has of it."""
        login = cast(Login, self)
        return ForwardingService(
            self.configuration, login, self._make_site, lambda _: None, self.clock, self.now, sharing
        )

    def lets_in(self, user: str | None, client: str | None) -> bool:
        return True

    async def user_of(self, authorization: str | None, client: str | None) -> str | None:
        return None

    def _make_site(self, configuration: Callable[[], Config]) -> PlainSite:
        return PlainSite.make(Resource(), "registry", self.clock, None)

    def now(self) -> float:
        return NOW + self.clock.seconds()

    def change(self, **forward: Any) -> None:
        """Have it read again."""
        self.config = replace(self.config, forward=replace(self.config.forward, **forward))
        assert ended(self.configuration.reload())

    def start(self) -> None:
        self.service.privilegedStartService()
        self.service.startService()

    def asked(self, target: str) -> bytes:
        """What CONNECT is answered."""
        browser = Browser(cast(Any, self.service.factory()), self.network)
        browser.ask(target, method="CONNECT", host=target)
        answer: bytes = browser.wire.value().partition(b"\r\n")[0]
        browser.leave()
        return answer


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# Its CA


def test_its_ca_is_made_before_it_listens(world: World, tmp_path: Path) -> None:
    assert world.service.trusted() == []
    world.service.privilegedStartService()
    (trusted,) = world.service.trusted()
    assert set(trusted.names) == world.config.answered_hosts
    assert list(trusted.names) == sorted(trusted.names)
    assert (trusted.not_before < NOW, trusted.not_after) == (True, NOW + AUTHORITY_SECONDS)
    assert trusted.pem.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in trusted.pem
    (file,) = (tmp_path / DIRECTORY).glob("*.pem")
    assert "PRIVATE" in file.read_text()


def test_without_one_the_daemon_does_not_start(world: World, tmp_path: Path) -> None:
    (tmp_path / DIRECTORY).write_text("in the way")
    with pytest.raises(CannotStart, match="the CA of the proxy cannot be read or written"):
        world.service.privilegedStartService()


def test_other_names_have_another_one_made(world: World) -> None:
    world.start()
    world.change(registries=frozenset({CORP, Registry("ghcr.io")}))
    first, second = world.service.trusted()
    assert set(second.names) - set(first.names) == {"ghcr.io"}
    # And back: that for these names counts still.
    world.change(registries=frozenset({CORP}))
    assert len(world.service.trusted()) == 2
    world.service.stopService()


def test_one_is_made_before_the_last_one_ends(world: World) -> None:
    world.start()
    world.clock.advance(AUTHORITY_SECONDS - OVERLAP_SECONDS - DAY)
    assert len(world.service.trusted()) == 1
    world.clock.advance(2 * DAY)
    assert len(world.service.trusted()) == 2
    world.service.stopService()


def test_trouble_with_it_is_told_and_ends_nothing(world: World, tmp_path: Path) -> None:
    world.start()
    directory = tmp_path / DIRECTORY
    directory.rename(tmp_path / "elsewhere")
    directory.write_text("in the way")
    with Log() as log:
        world.change(registries=frozenset())
        world.clock.advance(3600)
    told = [line for line in log.lines if line.startswith("the CA of the proxy cannot be read or written: ")]
    assert len(told) == 2
    directory.unlink()
    world.clock.advance(3600)
    assert [set(one.names) for one in world.service.trusted()][-1] == world.config.answered_hosts
    world.service.stopService()


def test_a_new_one_is_made_when_it_is_asked_for_and_others_are_told(world: World) -> None:
    world.start()
    other = world.another(Told())
    other.privilegedStartService()
    world.clock.advance(1)
    renewed = ended(Deferred.fromCoroutine(world.service.renew(at_once=False)))
    assert world.sharing.told == ["proxy ca"]
    assert [one.fingerprint for one in world.service.trusted()][-1] == renewed.fingerprint
    assert len(other.trusted()) == 1
    cast(Told, other._sharing).heard["proxy ca"](None)
    assert {one.fingerprint for one in other.trusted()} == {one.fingerprint for one in world.service.trusted()}
    world.service.stopService()


def test_there_is_none_for_no_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.config = replace(world.config, names=Names("cr.test", {}, None))
    world.change(registries=frozenset())
    world.start()
    assert world.service.trusted() == []
    error = failure_of(Deferred.fromCoroutine(world.service.renew(at_once=True)), RegistryError)
    assert isinstance(error, RegistryError)
    assert (error.status, "name one under [proxy]" in error.message) == (409, True)


def test_it_leaves_nothing_behind(world: World) -> None:
    world.start()
    assert len(world.clock.getDelayedCalls()) == 1
    world.service.stopService()
    assert world.clock.getDelayedCalls() == []
    # Nor where it never began.
    world.service.stopService()


# What clients are answered


def test_a_connection_begins_in_http_and_may_be_switched(world: World) -> None:
    assert isinstance(world.service.factory(), Switching)
    assert (world.service.site.called, world.service.site.write_seconds) == ("proxy", world.config.timeouts.write)


def test_what_may_be_asked_for_is_what_the_configuration_says_now(world: World) -> None:
    world.start()
    settings = world.service._settings()
    assert isinstance(settings, Settings)
    assert (settings.registries, settings.tunnels) == (world.config.answered, (HostPattern("a.test"),))
    assert world.asked("registry.example.com:443").startswith(b"HTTP/1.1 200 ")
    assert world.asked("ghcr.io:443").startswith(b"HTTP/1.1 403 ")
    world.change(registries=frozenset({Registry("ghcr.io")}), tunnels=())
    assert world.asked("registry.example.com:443").startswith(b"HTTP/1.1 403 ")
    assert world.asked("ghcr.io:443").startswith(b"HTTP/1.1 200 ")
    assert world.asked("a.test:443").startswith(b"HTTP/1.1 403 ")
    world.service.stopService()


def test_before_there_is_a_ca_nobody_is_answered(world: World) -> None:
    assert world.asked("quay.io:443").startswith(b"HTTP/1.1 503 no CA of this proxy may sign for quay.io")


def test_other_hosts_are_reached_as_upstreams_are(world: World) -> None:
    """At public addresses, and through the environment's proxy; what was made for that is made once."""
    endpoints = world.service._endpoints()
    assert world.service._endpoints() is endpoints
    assert endpoints.proxy(Origin("https", "a.test", 443)) is None
    for host, port in (("localhost", 443), ("192.0.2.1", 443), ("a.test", 80)):
        with pytest.raises(RefusedAddress):
            endpoints.below(Origin("https", host, port))
    proxy = Proxy("proxy.internal", 3128)
    world.config = replace(world.config, proxies=Proxies.always(proxy))
    ended(world.configuration.reload())
    assert world.service._endpoints().proxy(Origin("https", "a.test", 443)) == proxy
