from __future__ import annotations

import pytest

from crproxy.admin.doctor.daemon import Daemon
from crproxy.admin.doctor.dns import DnsResult, check_dns
from crproxy.admin.doctor.environment import ProbeEnvironment, is_here
from crproxy.admin.doctor.findings import Area
from crproxy.admin.doctor.http_probe import ProbeResult
from crproxy.admin.doctor.ports import check_ports
from crproxy.config import Config
from crproxy.policy.aliases import BUILT_IN
from tests.admin.doctor.conftest import environment, told
from tests.configs import loaded

HERE, THERE, ROUTER = "192.0.2.1", "198.51.100.1", "203.0.113.1"
ALIASES = [f"{label}.cr.test" for label in BUILT_IN]
OURS, NOBODY = ProbeResult(status=200, server="crproxy/1"), ProbeResult("it refuses connections", connected=False)
RUNS, ENDED = Daemon({}, OURS), Daemon()


@pytest.fixture
def config() -> Config:
    return loaded('domain = "cr.test"')


@pytest.fixture
def machine() -> ProbeEnvironment:
    return environment({}, frozenset({HERE}))


def way(domain: set[str], **aliases: set[str]) -> DnsResult:
    """Names lead where the domain leads, but for some labels."""
    addresses = {"cr.test": frozenset(domain), **dict.fromkeys(ALIASES, frozenset(domain))}
    addresses |= {f"{label}.cr.test": frozenset(found) for label, found in aliases.items()}
    return DnsResult(addresses, dict.fromkeys(domain, OURS if HERE in domain else NOBODY))


def test_all_lead_here(config: Config, machine: ProbeEnvironment) -> None:
    found = check_dns(config, RUNS, way({HERE}), machine)
    assert told(found) == {"cr.test": "ok", ", ".join(sorted(ALIASES)): "ok"}


def test_a_domain_that_leads_nowhere_fails(config: Config, machine: ProbeEnvironment) -> None:
    found = check_dns(config, RUNS, way(set(), quay={HERE}), machine)
    assert told(found)["cr.test"] == "failed"
    assert told(found)["quay.cr.test"] == "ok"
    assert told(check_ports(config, RUNS, way(set())))["https://cr.test"] == "skipped"


@pytest.mark.parametrize(
    ("daemon", "answers", "outcome"),
    [
        (RUNS, OURS, "ok"),
        (RUNS, NOBODY, "failed"),
        (RUNS, ProbeResult(status=200, server="nginx"), "failed"),
        (ENDED, NOBODY, "warning"),
        (ENDED, OURS, "ok"),
    ],
)
def test_an_address_that_is_not_this_machines_may_pass_on(
    config: Config, machine: ProbeEnvironment, daemon: Daemon, answers: ProbeResult, outcome: str
) -> None:
    routed = DnsResult(way({ROUTER}).addresses, {ROUTER: answers})
    found = check_dns(config, daemon, routed, machine)
    assert told(found)["cr.test"] == outcome
    assert ROUTER in found[0].text


def test_one_of_two_addresses_that_is_wrong_fails(config: Config, machine: ProbeEnvironment) -> None:
    both = DnsResult(way({HERE, THERE}).addresses, {HERE: OURS, THERE: NOBODY})
    (domain, *_) = check_dns(config, RUNS, both, machine)
    assert domain.outcome.value == "failed"
    assert THERE in domain.text
    assert HERE not in domain.text


def test_an_alias_that_leads_elsewhere_or_nowhere_fails(config: Config, machine: ProbeEnvironment) -> None:
    found = told(check_dns(config, RUNS, way({HERE}, quay={THERE}, ghcr=set()), machine))
    assert (found["quay.cr.test"], found["ghcr.cr.test"]) == ("failed", "failed")
    assert list(found.values()).count("failed") == 2


def test_without_a_domain_there_is_nothing_to_look_up(machine: ProbeEnvironment) -> None:
    (skipped,) = check_dns(Config(), RUNS, DnsResult(), machine)
    assert (skipped.area, skipped.outcome.value) == (Area.DNS, "skipped")


@pytest.mark.parametrize(("address", "ours"), [("127.0.0.1", True), ("192.0.2.1", False), ("no address", False)])
def test_an_address_is_this_machines_if_it_can_be_bound(address: str, ours: bool) -> None:
    assert is_here(address) == ours


# Ports


def test_a_port_that_answers_is_ours_or_somebody_elses(config: Config) -> None:
    answers = {"tcp:80": ProbeResult(status=200, server="nginx"), "tcp:443": OURS}
    found = told(check_ports(config, Daemon(answers), way({HERE})))
    assert found == {"tcp:80": "failed", "tcp:443": "ok", f"cr.test at {HERE} port 443": "ok"}


def test_a_port_at_which_nobody_listens_fails_if_the_daemon_runs(config: Config) -> None:
    answers = {"tcp:80": NOBODY, "tcp:443": NOBODY}
    assert set(told(check_ports(config, Daemon(answers, OURS), way({THERE}))).values()) == {"failed"}
    assert set(told(check_ports(config, Daemon(answers), way({THERE}))).values()) == {"skipped"}


def test_a_socket_of_systemds_is_looked_at_by_the_name() -> None:
    config = loaded('domain = "cr.test"\n[listen]\nhttps = ["systemd:domain=INET:index=0"]\nhttp = []')
    found = told(check_ports(config, RUNS, way({HERE})))
    assert found == {"systemd:domain=INET:index=0": "skipped", f"cr.test at {HERE} port 443": "ok"}


def test_what_answers_nothing_fails(config: Config) -> None:
    mute = ProbeResult("TLS failed: wrong version number")
    found = check_ports(config, Daemon({"tcp:80": OURS, "tcp:443": mute}), way({HERE}))
    assert told(found)["tcp:443"] == "failed"
    assert "wrong version number" in found[1].text
