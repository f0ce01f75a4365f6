from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from crproxy.config import Audit, Config
from crproxy.policy.audit import Format
from crproxy.service.auditing import AuditLog
from tests.logs import Log
from tests.memory import ended
from tests.policy.test_audit import RECORD


class Threads:
    """A pool (twisted.python.threadpool.ThreadPool) with no thread in it."""

    def callInThreadWithCallback(
        self, result: Callable[[bool, object], None], work: Callable[..., object], *args: Any, **kwargs: Any
    ) -> None:
        result(True, work(*args, **kwargs))


class Reactor(Clock):
    def getThreadPool(self) -> Threads:
        return Threads()

    def callFromThread(self, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        call(*args, **kwargs)


class Daemon:
    """What the audit log needs of one."""

    def __init__(self, audit: Audit) -> None:
        self.config = replace(Config(), audit=audit)
        self.reactor = Reactor()
        self.log = AuditLog(lambda: self.config, self.reactor)

    def configure(self, audit: Audit) -> None:
        self.config = replace(self.config, audit=audit)
        self.log.reopen()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def test_without_a_file_a_line_is_an_event_of_the_daemons_log(log: Log) -> None:
    daemon = Daemon(Audit())
    daemon.log.startService()
    daemon.log.observe(RECORD)
    (event,) = log.events
    assert event["log_namespace"] == "crproxy.audit"
    assert log.lines[0].startswith('192.0.2.7 - alice [22/Nov/2025:10:00:00 +0000] "GET /v2/quay.io/')
    assert (event["audit"]["registry"], event["audit"]["status"]) == ("quay.io", 200)
    assert daemon.log.stopService() is None


def test_s26_nothing_in_an_event_has_a_secret(log: Log) -> None:
    daemon = Daemon(Audit())
    daemon.log.observe(replace(RECORD, target="/?token=hunter2", agent="Bearer hunter2", user="me:hunter2@x"))
    assert "hunter2" not in repr(log.events)


def test_a_brace_in_a_line_is_no_field_of_the_event(log: Log) -> None:
    Daemon(Audit()).log.observe(replace(RECORD, agent="{log_time} {x.y[}"))
    assert '"{log_time} {x.y[}"' in log.lines[0]


def test_with_a_file_lines_go_there_alone(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "audit.log"
    daemon = Daemon(Audit(str(path)))
    daemon.log.startService()
    daemon.log.observe(RECORD)
    ended(daemon.log.stopService())  # type: ignore[arg-type]
    assert json.loads(path.read_text())["path"] == RECORD.target
    assert log.events == []


def test_a_file_is_there_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    Daemon(Audit(str(path))).log.startService()
    assert path.read_text() == ""


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    daemon = Daemon(Audit(str(path), Format.COMBINED))
    daemon.log.startService()
    daemon.log.observe(RECORD)
    moved = path.rename(tmp_path / "audit.log.1")
    daemon.log.reopen()
    daemon.log.observe(replace(RECORD, user="bob"))
    daemon.reactor.advance(0.5)
    assert "alice" in moved.read_text()
    assert "bob" in path.read_text()


def test_another_file_another_format_and_none_count_when_they_are_configured(tmp_path: Path, log: Log) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    daemon = Daemon(Audit(str(first)))
    daemon.log.startService()
    daemon.log.observe(RECORD)
    daemon.configure(Audit(str(second), Format.COMBINED))
    daemon.log.observe(RECORD)
    daemon.configure(Audit())
    daemon.log.observe(RECORD)
    assert first.read_text().startswith("{")
    assert second.read_text().startswith("192.0.2.7 ")
    assert len(log.lines) == 1
