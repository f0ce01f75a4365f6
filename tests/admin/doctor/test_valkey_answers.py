from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.admin.doctor.findings import Finding, Outcome
from crproxy.admin.doctor.valkey_answers import clock_finding, info_findings, parse_info, refusal

# As Valkey 9 says it, with a few of its lines.
INFO = b"""# Server\r
redis_version:7.2.4\r
server_name:valkey\r
valkey_version:9.0.0\r
server_mode:standalone\r
redis_mode:standalone\r
\r
# Memory\r
used_memory:1048576\r
maxmemory:0\r
maxmemory_policy:noeviction\r
# Replication\r
role:master\r
"""
MIB = 1024 * 1024


def found(**changes: str) -> dict[str, Finding]:
    """What matters of an INFO with these changes, by the word that follows the name."""
    return {finding.text.split()[0]: finding for finding in info_findings("valkey", {**parse_info(INFO), **changes})}


def outcomes(**changes: str) -> set[Outcome]:
    return {finding.outcome for finding in found(**changes).values()}


def test_a_healthy_one_is_fine() -> None:
    assert {finding.text for finding in found().values()} == {
        "is Valkey 9.0.0",
        "uses 1.0 MiB of memory, and has no bound",
    }
    assert outcomes() == {Outcome.OK}


def test_redis_is_told_from_it() -> None:
    assert found(valkey_version="")["is"].text == "is Redis 7.2.4"
    old = found(valkey_version="", redis_version="5.0.7")["is"]
    assert (old.outcome, old.text) == (Outcome.WARNING, "is Redis 5.0.7")
    assert found(valkey_version="", redis_version="")["is"].text == "is Redis of no known version"


def test_a_cluster_and_a_replica_are_of_no_use() -> None:
    for changes in ({"redis_mode": "cluster"}, {"cluster_enabled": "1"}, {"role": "slave"}):
        assert Outcome.FAILED in outcomes(**changes)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_keys_that_go_when_there_is_no_room_are_leases_too(policy: str) -> None:
    memory = found(maxmemory=str(100 * MIB), maxmemory_policy=policy)["uses"]
    assert memory.outcome is Outcome.WARNING
    assert f"uses 1.0 MiB of 100 MiB of memory, and then drops keys ({policy})" in memory.text
    assert "noeviction" in memory.advice


def test_one_that_is_nearly_full_will_take_nothing_more() -> None:
    assert found(maxmemory=str(2 * MIB))["uses"].outcome is Outcome.OK
    assert found(maxmemory=str(MIB))["uses"].outcome is Outcome.WARNING


@pytest.mark.parametrize(
    ("text", "said", "advice"),
    [
        ("WRONGPASS invalid username-password pair", "refuses the password", "valkey_password_file"),
        ("NOAUTH Authentication required.", "asks for a password", "valkey_password_file"),
        ("READONLY You can't write against a read only replica.", "is a replica", "Name the primary"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "has no memory left", "maxmemory"),
        ("MISCONF Errors writing to the AOF file", "cannot write to its own disk", 'save ""'),
        ("NOPERM User x has no permissions", "does not let its user do", "~fleet:* &fleet:* +@all"),
        ("CLUSTERDOWN Hash slot not served", "is a cluster", "single"),
        ("LOADING Valkey is loading the dataset in memory", "is still starting", "Wait"),
        ("-DENIED protected mode is enabled", "protected-mode", "password"),
        ("ERR AUTH <password> called without any password configured", "has no password", "Remove it"),
        ("ERR DB index is out of range", "has no such database", "0 is always there"),
        ("ERR unknown command", "refuses what it is asked: ERR unknown command", "log"),
        ("", "refuses what it is asked", "log"),
    ],
)
def test_a_refusal_is_said_with_what_to_do(text: str, said: str, advice: str) -> None:
    told = refusal(text, "fleet")
    assert said in told[0]
    assert advice in told[1]


@given(st.text(), st.text())
def test_whatever_it_answers_something_is_said(text: str, prefix: str) -> None:
    said, advice = refusal(text, prefix)
    assert said
    assert advice


@given(st.binary())
def test_whatever_it_says_of_itself_something_is_found(answer: bytes) -> None:
    assert list(info_findings("valkey", parse_info(answer)))


@pytest.mark.parametrize(
    ("behind", "outcome", "said"),
    [
        (0.0, Outcome.OK, "agree to 0.01 s"),
        (-29.0, Outcome.OK, "agree to 29.00 s"),
        (30.0, Outcome.WARNING, "is 30 s ahead of this machine's"),
        (-3600.0, Outcome.WARNING, "is 3600 s behind this machine's"),
    ],
)
def test_clocks_are_compared(behind: float, outcome: Outcome, said: str) -> None:
    finding = clock_finding("valkey", behind)
    assert finding.outcome is outcome
    assert said in finding.text
