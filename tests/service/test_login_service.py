from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import bcrypt
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from crproxy.config import Config, Fleet, ValkeyAddress
from crproxy.config.client_values import Clients
from crproxy.login import AuthRequest, Identity
from crproxy.login.keys import KEY_BYTES
from crproxy.oci.errors import RegistryError
from crproxy.policy.authorizations import Credentials
from crproxy.policy.routing import Names
from crproxy.policy.scopes import Scope
from crproxy.service.fleet import FleetService
from crproxy.service.login_service import LoginService
from crproxy.sharing import Alone
from crproxy.upstream.logins import Logins
from tests.memory import ended, failure_of, not_yet
from tests.service.in_common import BOUNDS
from tests.service.test_assembly import Reactor

HOST = "cr.test"
ALICES = "Basic YWxpY2U6b2YgYWxpY2U="  # alice:of alice
WRONG = "Basic YWxpY2U6d3Jvbmc="  # alice:wrong


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    users = {"alice": bcrypt.hashpw(b"of alice", bcrypt.gensalt(4))}
    return Config(Names(HOST), data_dir=str(tmp_path / "data"), clients=Clients(users))


@pytest.fixture
def service(config: Config, reactor: Reactor) -> Iterator[LoginService]:
    service = LoginService(lambda: config, cast(Logins, None), reactor)
    yield service
    if service.running:
        service.stopService()


def login_service(service: LoginService, authorization: str | None) -> Deferred[Identity]:
    return Deferred.fromCoroutine(service.login.authenticate(AuthRequest(HOST, authorization)))


def threads() -> int:
    return sum(thread.name.startswith("PoolThread-crproxy-login") for thread in threading.enumerate())


def test_passwords_are_checked_in_a_thread(service: LoginService, reactor: Reactor) -> None:
    service.startService()
    asking = login_service(service, ALICES)
    assert not_yet(asking)
    reactor.take_one()
    assert ended(asking) == Identity("alice")
    wrong = login_service(service, WRONG)
    reactor.take_one()
    failure_of(wrong, RegistryError)


def test_many_passwords_take_two_threads(service: LoginService, reactor: Reactor) -> None:
    """The rest of the machine's, and the disk's, are for images."""
    service.startService()
    password = [
        Deferred.fromCoroutine(service.login.authenticate(AuthRequest(HOST, basic(str(number))))) for number in range(8)
    ]
    assert threads() <= 2
    for _ in password:
        reactor.take_one()
    for asked in password:
        failure_of(asked, RegistryError)


def test_its_threads_end_with_it(service: LoginService, reactor: Reactor) -> None:
    service.startService()
    asking = login_service(service, ALICES)
    reactor.take_one()
    ended(asking)
    service.stopService()
    assert threads() == 0


def test_what_needs_no_check_needs_no_thread(service: LoginService) -> None:
    failure_of(login_service(service, None), RegistryError)
    failure_of(login_service(service, "Bearer x"), RegistryError)


def test_a_key_is_made_where_the_first_token_is(service: LoginService, reactor: Reactor, config: Config) -> None:
    service.startService()
    key = Path(config.data_dir) / "login.key"
    first = login_service(service, ALICES)
    reactor.take_one()
    ended(first)
    assert not key.exists()
    granted = token_of(service)
    assert key.stat().st_size == 64
    assert ended(login_service(service, f"Bearer {granted}")) == Identity("alice")


def test_a_token_is_good_after_a_restart(service: LoginService, reactor: Reactor, config: Config) -> None:
    service.startService()
    first = login_service(service, ALICES)
    reactor.take_one()
    ended(first)
    granted = token_of(service)
    service.stopService()
    again = LoginService(lambda: config, cast(Logins, None), reactor)
    assert ended(login_service(again, f"Bearer {granted}")) == Identity("alice")


def fleet_of(secret: str) -> Fleet:
    return Fleet(ValkeyAddress("127.0.0.1", 6379), "https://n:1", ("tcp:1",), secret, "n")


def node(config: Config, reactor: Reactor, number: int, secret: str = "s" * 32) -> LoginService:
    """The logins of a node of a fleet, with a disk of its own."""
    fleet = fleet_of(secret)
    own = replace(config, data_dir=f"{config.data_dir}-{number}", fleet=fleet)
    part = FleetService(own, fleet, MemoryReactorClock(), lambda: 1.8e9, Alone(), BOUNDS)
    return LoginService(lambda: own, cast(Logins, None), reactor, token_key=part.token_key)


def test_a_token_of_one_node_is_good_at_each_and_nothing_is_written(config: Config, reactor: Reactor) -> None:
    first, second = node(config, reactor, 1), node(config, reactor, 2)
    first.startService()
    asking = login_service(first, ALICES)
    reactor.take_one()
    ended(asking)
    granted = token_of(first)
    first.stopService()
    assert ended(login_service(second, f"Bearer {granted}")) == Identity("alice")
    # And after a restart, though nothing was kept.
    assert ended(login_service(node(config, reactor, 1), f"Bearer {granted}")) == Identity("alice")
    assert list(Path(config.data_dir).parent.rglob("login.key")) == []
    without = LoginService(lambda: config, cast(Logins, None), reactor)
    failure_of(login_service(without, f"Bearer {granted}"), RegistryError)


def test_another_fleet_has_other_keys(config: Config) -> None:
    keys = []
    for secret in ("s" * 32, "t" * 32):
        fleet = fleet_of(secret)
        part = FleetService(replace(config, fleet=fleet), fleet, MemoryReactorClock(), lambda: 1.8e9, Alone(), BOUNDS)
        keys.append(part.token_key())
    assert all(len(key) == KEY_BYTES and key[:32] != key[32:] for key in keys)
    assert len({key[:32] for key in keys} | {key[32:] for key in keys}) == 4


def test_the_configuration_that_counts_is_the_one_of_now(reactor: Reactor, config: Config) -> None:
    current = [config]
    service = LoginService(lambda: current[0], cast(Logins, None), reactor)
    failure_of(login_service(service, None), RegistryError)
    current[0] = replace(config, clients=Clients())
    assert ended(login_service(service, None)) == Identity()


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"alice:{password}".encode()).decode()


def token_of(service: LoginService) -> str:
    """A token for alice, whose password is remembered."""
    granting: Deferred[Any] = Deferred.fromCoroutine(
        service.login.issue_token(AuthRequest(HOST), Credentials("alice", "of alice"), (Scope("a/b"),))
    )
    token: str = ended(granting).token
    return token
