"""The doctor among nodes: one over real sockets and real TLS, which is this one and another as it is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from crproxy.admin.doctor import nodes_check
from crproxy.admin.doctor.daemon import Daemon
from crproxy.admin.doctor.environment import ProbeEnvironment
from crproxy.admin.doctor.findings import Finding, Outcome
from crproxy.admin.doctor.http_probe import ProbeResult
from crproxy.admin.doctor.nodes_check import check_fleet
from crproxy.admin.doctor.valkey_check import ValkeyCheck
from crproxy.config import Config, Fleet, ValkeyAddress
from crproxy.fleet import nodes
from tests.admin.doctor.conftest import environment
from tests.fleet.conftest import node  # noqa: F401 - a fixture
from tests.fleet.nodes import ABOUT, REACTOR, Node
from tests.fleet.test_identity import NOW
from tests.memory import ended
from tests.reactor import on_the_reactor

RUNS = Daemon(admin=ProbeResult(status=200))


@pytest.fixture
def probe() -> ProbeEnvironment:
    return replace(environment({}, reactor=REACTOR), now=lambda: NOW)


def fleet(url: str, name: str = ABOUT.name, secret: str = "a" * 32) -> Fleet:
    return Fleet(ValkeyAddress("valkey.test", 6379), url, ("tcp:1",), secret, name)


def other(name: str, url: str) -> nodes.Node:
    return nodes.Node(name, url, "1.2.3", 0.0, 1, "run", {})


async def look(
    monkeypatch: pytest.MonkeyPatch,
    probe: ProbeEnvironment,
    ours: Fleet,
    known: list[nodes.Node] | None,
    daemon: Daemon = RUNS,
) -> dict[str, Finding]:
    """What is found where these are the nodes that Valkey knows; by its subject, without where that is."""

    async def check(fleet: Fleet, environment: ProbeEnvironment) -> ValkeyCheck:
        return ValkeyCheck(nodes=known)

    monkeypatch.setattr(nodes_check, "check_valkey", check)
    found = await check_fleet(Config(fleet=ours), daemon, probe)
    return {finding.subject.split(" at ")[0]: finding for finding in found.findings}


def test_without_a_fleet_nothing_is_looked_at(probe: ProbeEnvironment) -> None:
    assert ended(Deferred.fromCoroutine(check_fleet(Config(), RUNS, probe))).findings == []


@on_the_reactor
async def test_this_node_and_another_answer(
    node: Node,  # noqa: F811
    probe: ProbeEnvironment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = fleet(node.url)
    known = [other(ours.name, ours.advertise), other("other", node.url)]
    found = await look(monkeypatch, probe, ours, known)
    assert found["this node"].outcome is Outcome.OK
    assert "as crproxy 1.2.3, while this one is" in found["this node"].text
    assert found["node other"].text == f"the node {ABOUT.name} answers there"


@on_the_reactor
async def test_a_node_of_another_secret_is_none_of_ours(
    node: Node,  # noqa: F811
    probe: ProbeEnvironment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = await look(monkeypatch, probe, fleet(node.url, secret="0123456789abcdef" * 4), [])
    assert "has another secret" in found["this node"].text
    assert "same secret on each node" in found["this node"].advice
    assert (found["secret"].outcome, found["secret"].text) == (Outcome.OK, "has 64 bytes")


@on_the_reactor
async def test_a_daemon_that_does_not_run_is_not_asked(
    probe: ProbeEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await look(monkeypatch, probe, fleet("https://127.0.0.1:1"), [], Daemon())
    assert found["secret"].outcome is Outcome.WARNING
    assert "only 1 different ones" in found["secret"].text
    assert (found["this node"].outcome, found["other nodes"].text) == (Outcome.SKIPPED, "there are none")


@on_the_reactor
async def test_who_is_there_only_valkey_knows(probe: ProbeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await look(monkeypatch, probe, fleet("https://127.0.0.1:1"), None)
    assert found["other nodes"].outcome is Outcome.SKIPPED
    assert found["this node"].outcome is Outcome.FAILED
    assert "firewalls" in found["this node"].advice


@on_the_reactor
async def test_its_name_is_anothers_or_nobodys(probe: ProbeEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = fleet("https://127.0.0.1:1")
    found = await look(monkeypatch, probe, ours, [other(ours.name, "https://127.0.0.1:2")])
    assert found[ours.name].text == "is also what the node at https://127.0.0.1:2 is called"
    found = await look(monkeypatch, probe, ours, [])
    assert "is not among the nodes" in found[ours.name].text
