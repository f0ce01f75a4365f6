"""What the doctor makes of a Valkey; how it is connected to is shown with a real one (tests/integration)."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from crproxy.admin.doctor import valkey_check
from crproxy.admin.doctor.environment import ProbeEnvironment
from crproxy.admin.doctor.findings import Outcome
from crproxy.admin.doctor.valkey_check import ValkeyCheck, check_valkey
from crproxy.config import Fleet, ValkeyAddress
from crproxy.fleet.nodes import Node
from tests.admin.doctor.conftest import NOW, environment
from tests.admin.doctor.test_valkey_answers import INFO
from tests.memory import ended

ADDRESS = ValkeyAddress("valkey.test", 6379, database=3, username="me", password="secret")
FLEET = Fleet(ADDRESS, "https://a.test:1", ("tcp:1",), "s" * 32, "a", "fleet")
NODE = Node("b", "https://b.test:1", "1.2", 0.0, 1, "run", {})


class AnswersError(Exception):
    """Valkey says no."""


class Lost(Exception):
    """The connection ends."""


class Protocol:
    """A connection on which a test answers: with a value, or with an error."""

    def __init__(self, clock: Clock, **answers: Any) -> None:
        self.clock = clock
        self.asked: list[tuple[Any, ...]] = []
        self.transport = self
        self.is_open = True
        self.took = 0.0
        self.answers: dict[str, Any] = {
            "AUTH": b"OK",
            "SELECT": b"OK",
            "PING": b"PONG",
            "INFO": INFO,
            "EVAL": [b"%d" % NOW, b"0"],
            "DEL": 1,
            "PUBLISH": 0,
            "ZRANGE": [b"b", b"gone", b"new"],
            "MGET": [NODE.to_json().encode(), None, b"another version's"],
            **answers,
        }

    def execute_command(self, *command: Any) -> Deferred[Any]:
        self.asked.append(command)
        self.clock.advance(self.took)
        answer = self.answers[command[0]]
        if isinstance(answer, Deferred):
            return answer
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)

    def abortConnection(self) -> None:
        self.is_open = False


@pytest.fixture
def clock() -> Clock:
    return Clock()


def look(protocol: Protocol, monkeypatch: pytest.MonkeyPatch, probe: ProbeEnvironment | None = None) -> ValkeyCheck:
    async def connect(address: ValkeyAddress, reactor: Any) -> Any:
        assert address == ADDRESS
        return valkey_check._Asked(protocol, (AnswersError, Lost), AnswersError, reactor)

    monkeypatch.setattr(valkey_check, "_connect", connect)
    looking = Deferred.fromCoroutine(check_valkey(FLEET, probe or environment({}, reactor=protocol.clock)))
    protocol.clock.advance(5)
    check = ended(looking)
    assert not protocol.is_open
    return check


def worst(check: ValkeyCheck) -> str:
    (found,) = [finding.text for finding in check.findings if finding.outcome is Outcome.FAILED]
    return found


def test_a_healthy_one_is_looked_at_from_all_sides(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol(clock)
    check = look(protocol, monkeypatch)
    assert {finding.outcome for finding in check.findings} == {Outcome.OK}
    assert check.nodes == [NODE], "what is not a node's is passed over"
    assert check.reading is not None
    assert check.reading.behind == 0
    assert protocol.asked[:2] == [("AUTH", "me", b"secret"), ("SELECT", 3)]
    assert ("MGET", "fleet:node:b", "fleet:node:gone", "fleet:node:new") in protocol.asked


def test_where_nobody_is_nobody_is_asked_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol(clock, ZRANGE=[])
    assert look(protocol, monkeypatch).nodes == []
    assert "MGET" not in [command[0] for command in protocol.asked]


def test_one_that_is_slow_is_told_of(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol(clock)
    protocol.took = 0.25
    (found,) = [one for one in look(protocol, monkeypatch).findings if one.outcome is Outcome.WARNING]
    assert found.text == "answers in 250 ms"


def test_its_clock_is_another(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    check = look(Protocol(clock, EVAL=[b"%d" % (NOW + 100), b"500000"]), monkeypatch)
    assert check.reading is not None
    assert check.reading.behind == 100.5
    assert [one.text for one in check.findings if one.outcome is Outcome.WARNING] == [
        "is 100 s ahead of this machine's"
    ]


@pytest.mark.parametrize(
    ("command", "text", "said"),
    [
        ("AUTH", "WRONGPASS no", "refuses the password"),
        ("SELECT", "ERR DB index is out of range", "has no such database"),
        ("PING", "LOADING it is", "is still starting"),
        ("INFO", "ERR no", "refuses what it is asked"),
        ("EVAL", "OOM no", "has no memory left"),
        ("PUBLISH", "NOPERM no", "does not let its user do what it takes"),
    ],
)
def test_where_it_says_no_is_said(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, command: str, text: str, said: str
) -> None:
    check = look(Protocol(clock, **{command: AnswersError(text)}), monkeypatch)
    assert worst(check).startswith(said)
    assert check.nodes is None


def test_one_that_may_not_be_asked_what_it_is_is_used_all_the_same(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = look(Protocol(clock, INFO=AnswersError("NOPERM no")), monkeypatch)
    assert [one.outcome for one in check.findings].count(Outcome.SKIPPED) == 1
    assert check.nodes == [NODE]


def test_a_replica_is_not_written_to(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = Protocol(clock, INFO=INFO.replace(b"role:master", b"role:slave"))
    assert worst(look(protocol, monkeypatch)).startswith("is a replica")
    assert "EVAL" not in [command[0] for command in protocol.asked]


def test_one_that_ends_the_connection_or_is_silent(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "it ends the connection" in worst(look(Protocol(clock, PING=Lost()), monkeypatch))
    assert "it has not answered for 5 s" in worst(look(Protocol(clock, PING=Deferred()), monkeypatch))


def test_what_is_not_installed_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "txredisapi", None)
    monkeypatch.delitem(sys.modules, "crproxy.fleet.protocol", raising=False)
    monkeypatch.delattr("crproxy.fleet.protocol", raising=False)
    (found,) = ended(Deferred.fromCoroutine(check_valkey(FLEET, environment({})))).findings
    assert "txredisapi" in found.text
    assert "pip install 'crproxy[fleet]'" in found.advice
