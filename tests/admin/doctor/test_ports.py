from __future__ import annotations

import pytest

from crproxy.admin.doctor.daemon import Daemon
from crproxy.admin.doctor.dns import DnsResult
from crproxy.admin.doctor.environment import ProbeEnvironment
from crproxy.admin.doctor.findings import Finding
from crproxy.admin.doctor.holders import Holder
from crproxy.admin.doctor.http_probe import ProbeResult
from crproxy.admin.doctor.ports import check_ports
from crproxy.config import Config
from tests.admin.doctor.conftest import environment, told
from tests.configs import loaded

HERE, THERE = "192.0.2.1", "198.51.100.1"
OURS, NOBODY = ProbeResult(status=200, server="crproxy/1"), ProbeResult("it refuses connections", connected=False)
NGINX = Holder(4711, "nginx", ("nginx: master process /usr/sbin/nginx",))
ANOTHER = Holder(4711, "twistd", ("/opt/crproxy/bin/python", "/opt/crproxy/bin/twistd", "-n", "crproxy"))


@pytest.fixture
def config() -> Config:
    return loaded('domain = "cr.test"')


def machine(holder: Holder | None = None) -> ProbeEnvironment:
    return environment({}, frozenset({HERE}), holder=holder)


def way(address: str = HERE, answer: ProbeResult = OURS) -> DnsResult:
    return DnsResult({"cr.test": frozenset({address})}, {address: answer})


def of(description: str, findings: list[Finding]) -> Finding:
    (found,) = [finding for finding in findings if finding.subject == description]
    return found


def test_a_port_that_answers_is_ours_or_somebody_elses(config: Config) -> None:
    answers = {"tcp:80": ProbeResult(status=200, server="nginx"), "tcp:443": OURS}
    found = told(check_ports(config, Daemon(answers), way(), machine()))
    assert found == {"tcp:80": "failed", "tcp:443": "ok", f"cr.test at {HERE} port 443": "ok"}


@pytest.mark.parametrize(
    ("answer", "holder", "said", "advised"),
    [
        (
            ProbeResult(status=404, server="nginx"),
            NGINX,
            "nginx (process 4711) has this port, not crproxy: nginx answers 404",
            "systemctl status 4711",
        ),
        (
            ProbeResult(status=404, server="nginx", in_the_clear=True),
            NGINX,
            "nginx (process 4711) has this port, not crproxy: no TLS is spoken there, but plain HTTP, by nginx",
            "Stop it",
        ),
        (
            ProbeResult("it did not answer in time"),
            None,
            "another program has this port, not crproxy: it answers nothing that can be read (it did not answer",
            "sudo ss -ltnp",
        ),
        (
            ProbeResult("TLS failed: wrong version number"),
            ANOTHER,
            "twistd (process 4711), which is a crproxy, has this port",
            "another https",
        ),
        (
            ProbeResult(status=200, server="crproxy/1", in_the_clear=True),
            ANOTHER,
            "no TLS is spoken there, but plain HTTP, by crproxy/1",
            "another https",
        ),
    ],
)
def test_who_has_a_port_is_told(
    config: Config, answer: ProbeResult, holder: Holder | None, said: str, advised: str
) -> None:
    found = of("tcp:443", check_ports(config, Daemon({"tcp:80": OURS, "tcp:443": answer}), way(), machine(holder)))
    assert found.outcome.value == "failed"
    assert said in found.text
    assert advised in found.advice


def test_a_port_at_which_nobody_listens_fails_if_the_daemon_runs(config: Config) -> None:
    answers = {"tcp:80": NOBODY, "tcp:443": NOBODY}
    found = told(check_ports(config, Daemon(answers, OURS), way(HERE, NOBODY), machine()))
    assert set(found.values()) == {"failed"}
    found = told(check_ports(config, Daemon(answers), way(HERE, NOBODY), machine()))
    assert set(found.values()) == {"skipped"}


def test_a_domain_that_leads_elsewhere_is_not_told_again(config: Config) -> None:
    answers = {"tcp:80": OURS, "tcp:443": OURS}
    found = told(check_ports(config, Daemon(answers, OURS), way(THERE, NOBODY), machine()))
    assert found[f"cr.test at {THERE} port 443"] == "skipped"
    found = told(check_ports(config, Daemon(answers, OURS), way(THERE, OURS), machine()))
    assert found[f"cr.test at {THERE} port 443"] == "ok"


def test_a_name_without_an_address_is_not_connected_to(config: Config) -> None:
    nowhere = DnsResult({"cr.test": frozenset()})
    assert told(check_ports(config, Daemon({}, OURS), nowhere, machine()))["https://cr.test"] == "skipped"


def test_a_socket_of_systemds_is_looked_at_by_the_name() -> None:
    config = loaded('domain = "cr.test"\n[listen]\nhttps = ["systemd:domain=INET:index=0"]\nhttp = []')
    found = told(check_ports(config, Daemon({}, OURS), way(), machine()))
    assert found == {"systemd:domain=INET:index=0": "skipped", f"cr.test at {HERE} port 443": "ok"}
