from __future__ import annotations

import pytest

from crproxy.admin.doctor.daemon import Daemon
from crproxy.admin.doctor.dns import DnsResult, check_dns
from crproxy.admin.doctor.environment import ProbeEnvironment, is_here
from crproxy.admin.doctor.findings import Area, Finding, Outcome
from crproxy.admin.doctor.grouping import grouped
from crproxy.admin.doctor.http_probe import ProbeResult
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


# One cause, told once


def causes(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in grouped(findings) if finding.outcome is Outcome.FAILED]


def test_aliases_that_lead_to_the_same_wrong_place_are_told_at_once(config: Config, machine: ProbeEnvironment) -> None:
    astray = DnsResult({**dict.fromkeys(ALIASES, frozenset({THERE})), "cr.test": frozenset({HERE})}, {HERE: OURS})
    (cause,) = causes(check_dns(config, RUNS, astray, machine))
    first = sorted(ALIASES)[:3]
    assert cause.subject == f"{', '.join(first)} and {len(ALIASES) - 3} more"
    assert cause.text == f"lead to {THERE}, the domain to {HERE}"
    assert "correct their records" in cause.advice


def test_aliases_that_lead_to_different_places_are_told_apart(config: Config, machine: ProbeEnvironment) -> None:
    found = causes(check_dns(config, RUNS, way({HERE}, quay={THERE}, ghcr={ROUTER}), machine))
    assert [cause.subject for cause in found] == ["ghcr.cr.test", "quay.cr.test"]


def test_where_no_name_can_be_resolved_that_is_one_cause(config: Config, machine: ProbeEnvironment) -> None:
    (cause,) = causes(check_dns(config, RUNS, way(set()), machine))
    assert cause.subject.startswith("cr.test, ")
    assert "*.cr.test" in cause.advice


def test_a_wildcard_that_is_missing_is_one_cause(config: Config, machine: ProbeEnvironment) -> None:
    only = DnsResult({**dict.fromkeys(ALIASES, frozenset()), "cr.test": frozenset({HERE})}, {HERE: OURS})
    (cause,) = causes(check_dns(config, RUNS, only, machine))
    assert "*.cr.test one for all of them" in cause.advice
