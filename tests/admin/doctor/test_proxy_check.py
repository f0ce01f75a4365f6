from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crproxy.admin.doctor.daemon import Daemon
from crproxy.admin.doctor.environment import ProbeEnvironment
from crproxy.admin.doctor.findings import Finding, Outcome
from crproxy.admin.doctor.http_probe import ProbeResult
from crproxy.admin.doctor.proxy_check import check_proxy
from crproxy.config import Config, Fleet, ValkeyAddress
from crproxy.config.forward_values import Forward
from crproxy.forward.authorities import DIRECTORY, Authorities
from crproxy.oci.names import Registry
from crproxy.policy.authorities import OVERLAP_SECONDS

FLEET = Fleet(ValkeyAddress("valkey.test", 6379), "https://a.test:1", ("tcp:1",), "s" * 32, "a")
NOW = 1_800_000_000.0
RUNNING = Daemon(admin=ProbeResult(status=200, server="crproxy/1"))
STOPPED = Daemon()


class World:
    def __init__(self, directory: Path) -> None:
        self.now = NOW
        self.config = Config(data_dir=str(directory), forward=Forward(listen=("tcp:3128",)))
        self.authorities = Authorities(directory / DIRECTORY, lambda: self.now)

    def check(self, daemon: Daemon = RUNNING) -> list[Finding]:
        environment = ProbeEnvironment(None, _nobody, now=lambda: self.now)
        return check_proxy(self.config, daemon, environment)


async def _nobody(name: str) -> frozenset[str]:
    raise AssertionError(name)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_where_there_is_no_proxy_there_is_nothing_to_look_at(world: World) -> None:
    world.config = replace(world.config, forward=Forward())
    assert world.check() == []


def test_what_clients_trust_is_shown(world: World) -> None:
    world.authorities.refresh(world.config.answered_hosts)
    (found,) = world.check()
    (authority,) = world.authorities.trusted
    assert (found.outcome, found.subject) == (Outcome.OK, authority.fingerprint)
    assert found.text == f"may sign for {len(authority.names)} names until 2032-01-14"


def test_while_clients_change_over_they_are_to_be_given_both(world: World) -> None:
    world.authorities.refresh(world.config.answered_hosts)
    (old,) = world.authorities.trusted
    world.now += 86400
    world.authorities.renew(world.config.answered_hosts, at_once=False)
    new, both = world.check()
    assert (new.outcome, both.outcome, both.subject) == (Outcome.OK, Outcome.WARNING, old.fingerprint)
    assert "crproxy ca export" in both.advice
    world.now += OVERLAP_SECONDS
    assert [found.outcome for found in world.check()] == [Outcome.OK]


def test_a_registry_that_it_may_not_sign_for_is_named(world: World) -> None:
    world.authorities.refresh(world.config.answered_hosts)
    more = replace(world.config.forward, registries=frozenset({Registry("registry.example.net")}))
    world.config = replace(world.config, forward=more)
    (found,) = world.check()
    assert (found.outcome, found.text) == (Outcome.WARNING, "is not for registry.example.net")


def test_before_the_first_start_there_is_none(world: World) -> None:
    (found,) = world.check(STOPPED)
    assert found.outcome is Outcome.SKIPPED


def test_a_daemon_without_one_answers_for_nobody(world: World) -> None:
    (found,) = world.check()
    assert (found.outcome, found.advice) == (Outcome.FAILED, "See crproxy's log")


def test_in_a_fleet_it_waits_for_valkey(world: World) -> None:
    world.config = replace(world.config, fleet=FLEET)
    (found,) = world.check()
    assert (found.outcome, found.advice) == (Outcome.FAILED, "Is Valkey up? The CA is the fleet's")


def test_what_cannot_be_read_is_left_out(world: World) -> None:
    (Path(world.config.data_dir) / DIRECTORY).write_text("no directory")
    (found,) = world.check()
    assert found.outcome is Outcome.SKIPPED
