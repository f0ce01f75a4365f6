from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import Application, Service
from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    Logger,
    LogLevel,
    LogPublisher,
    eventAsJSON,
    eventFromJSON,
)
from twisted.python.failure import Failure

from crproxy.config import Config, Log
from crproxy.policy.audit import Format, fields, write_line
from crproxy.policy.log_lines import LogFormat
from crproxy.policy.log_lines import LogLevel as Level
from crproxy.service.daemon_log import DaemonLog, LoggedServices, portable, twistd_of_this_process
from crproxy.web.current_request import RequestId, on_behalf_of
from tests.metrics.records import record


class Written:
    """A log that is written to memory, and who tells it something."""

    def __init__(self, level: Level = Level.INFO, style: LogFormat = LogFormat.TEXT) -> None:
        self.out = io.StringIO()
        self.log = DaemonLog(Log(level, style))
        self.tell = Logger("crproxy.x", observer=self.log.file(self.out))

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def tell_all(log: Logger) -> None:
    log.debug("a")
    log.info("b")
    log.warn("c")
    log.error("d")
    log.critical("e")


@pytest.mark.parametrize(
    ("level", "expected"), [("debug", "abcde"), ("info", "bcde"), ("warning", "cde"), ("error", "de")]
)
def test_a_level_decides_what_is_in_it(level: str, expected: str) -> None:
    written = Written(Level(level), LogFormat.JSON)
    tell_all(written.tell)
    assert "".join(document["message"] for document in written.documents) == expected


def test_another_level_and_form_count_from_then_on() -> None:
    written = Written(Level.ERROR)
    tell_all(written.tell)
    assert len(written.lines) == 2
    written.log.take(Config(log=Log(Level.DEBUG, LogFormat.JSON)))
    tell_all(written.tell)
    assert [json.loads(line)["level"] for line in written.lines[2:]] == ["debug", "info", "warning", "error", "error"]


def test_a_line_says_who_tells_it_and_how_much_it_matters() -> None:
    written = Written()
    written.tell.warn("{what} is odd", what="it")
    assert written.lines[0].endswith(" [crproxy.x#warning] it is odd")


def test_a_line_of_json_has_the_events_fields() -> None:
    written = Written(style=LogFormat.JSON)
    written.tell.warn("{what} is odd", what="it", number=7, error=ValueError("no"))
    (document,) = written.documents
    assert document.pop("time")
    assert document == {
        "level": "warning",
        "logger": "crproxy.x",
        "message": "it is odd",
        "what": "it",
        "number": 7,
        "error": "no",
    }


@pytest.mark.parametrize("style", LogFormat)
def test_a_traceback_is_of_the_entry(style: LogFormat) -> None:
    written = Written(Level.ERROR, style)
    try:
        raise ValueError("no")
    except ValueError:
        written.tell.failure("it failed")
    if style is LogFormat.JSON:
        (document,) = written.documents
        assert document["message"] == "it failed"
        assert document["traceback"].endswith("builtins.ValueError: no")
    else:
        assert written.lines[0].endswith("[crproxy.x#error] it failed")
        assert written.lines[-1] == "\tbuiltins.ValueError: no"


def test_a_failure_of_which_nothing_can_be_told_is_told_all_the_same() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

    written = Written()
    written.tell.failure("it failed", Failure(Odd()))
    assert "it failed" in written.lines[0]


def test_what_is_told_on_behalf_of_a_request_has_its_id() -> None:
    written, request = Written(style=LogFormat.JSON), RequestId(lambda: None)
    written.tell.info("before")
    with on_behalf_of(request):
        written.tell.info("within")
    written.tell.info("after")
    written.tell.info("by name", request_id="abc")
    assert [document.get("request") for document in written.documents] == [None, request.value, None, "abc"]
    assert "request_id" not in written.documents[3]


def test_what_is_not_in_the_log_makes_no_id() -> None:
    written, request = Written(Level.WARNING), RequestId(lambda: None)
    with on_behalf_of(request):
        written.tell.info("within")
    assert request.known is None


def test_of_a_line_of_the_audit_log_nothing_is_made_text_again() -> None:
    """Each answer has such a line, and what it is made of is text already, without secrets."""
    made: list[str] = []

    class Value:
        def __str__(self) -> str:
            made.append("text")
            return "text"

    written = Written()
    written.tell.info("it was asked", line=Value(), audit=fields(record()))
    assert written.lines[0].endswith("it was asked")
    assert made == []


@pytest.mark.parametrize("style", LogFormat)
def test_a_line_of_the_audit_log_stays_what_it_is_and_makes_no_id(style: LogFormat) -> None:
    written, request = Written(style=style), RequestId(lambda: None)
    told = record(request="k2m4x7abcdef", target="/v2/?token=hunter2")
    line = write_line(told, Format.COMBINED)
    with on_behalf_of(request):
        written.tell.info("{line}", line=line, audit=fields(told))
    assert request.known is None
    if style is LogFormat.JSON:
        (document,) = written.documents
        assert (document["message"], document["request"]) == (line, "k2m4x7abcdef")
        assert document["audit"] == fields(told)
        assert "line" not in document
    else:
        assert written.lines[0].endswith(f"] {line}")


def test_what_says_nothing_is_no_line() -> None:
    written = Written()
    written.tell.info("")
    assert written.lines == []


def test_what_another_process_tells_is_the_same_line() -> None:
    """As a worker hands it to the first process: fields that are no JSON among it."""
    events: list[LogEvent] = []
    log = Logger("crproxy.x", observer=LogPublisher(events.append))  # type: ignore[arg-type]  # it is one
    request = RequestId(lambda: None)
    with on_behalf_of(request):
        log.warn("{error} of {path.name}", error=ValueError("no"), path=Path("/a/b"))
        here = Written(style=LogFormat.JSON)
        here.log.file(here.out)(events[0])
        handed = eventAsJSON(portable(events[0]))
    there = Written(style=LogFormat.JSON)
    there.log.file(there.out)(eventFromJSON(handed))
    (document,) = there.documents
    assert document == here.documents[0]
    assert (document["message"], document["request"], document["error"]) == ("no of b", request.value, "no")


def test_of_a_failure_elsewhere_the_traceback_comes_along() -> None:
    events: list[LogEvent] = []
    Logger("crproxy.x", observer=LogPublisher(events.append)).failure("failed", Failure(ValueError("no")))  # type: ignore[arg-type]  # it is one
    there = Written(style=LogFormat.JSON)
    there.log.file(there.out)(eventFromJSON(eventAsJSON(portable(events[0]))))
    assert "ValueError" in there.documents[0]["traceback"]


def test_an_observer_with_a_form_of_its_own_gets_what_counts_with_the_id_in_its_words() -> None:
    seen: list[str] = []
    log = DaemonLog(Log(Level.WARNING))
    legacy = LegacyLogObserverWrapper(lambda event: seen.append(event["format"] % event))  # type: ignore[arg-type]
    observer = log.before(legacy)
    tell = Logger("crproxy.x", observer=observer)
    tell.info("no")
    tell.warn("yes")
    tell.warn("{x}", x="this {too}", request_id="abc")
    assert seen == ["yes", "this {too} (request abc)"]


# Where twistd says


def observer_of(twistd: dict[str, Any] | None) -> Any:
    application = Application("crproxy")
    daemon = LoggedServices(DaemonLog(Log(style=LogFormat.JSON)), twistd)
    daemon.setServiceParent(application)
    return application.getComponent(ILogObserver, None)


def test_an_application_has_its_log_where_twistd_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "twistd.log"
    observer = observer_of({"logfile": str(file), "nodaemon": True})
    assert isinstance(observer, FileLogObserver)
    Logger("crproxy.x", observer=observer).info("hello")
    assert json.loads(file.read_text())["message"] == "hello"


def test_without_a_file_it_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    Logger("crproxy.x", observer=observer_of({"nodaemon": True})).info("hello")
    assert json.loads(capsys.readouterr().out)["message"] == "hello"


def test_syslog_gets_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    from twisted.python import syslog

    class Syslog:
        def __init__(self, prefix: str) -> None:
            self.prefix = prefix

        def emit(self, event: LogEvent) -> None:
            said.append(f"{self.prefix}: {event['format'] % event}")

    monkeypatch.setattr(syslog, "SyslogObserver", Syslog)
    observer = observer_of({"syslog": True, "prefix": "crproxy"})
    tell_all(Logger("crproxy.x", observer=observer))
    assert said == [f"crproxy: {each}" for each in "bcde"]


def test_where_twistd_is_not_known_the_log_is_its_own() -> None:
    assert observer_of(None) is None


def test_a_daemon_may_be_a_part_of_another() -> None:
    daemon, parent = LoggedServices(DaemonLog(Log()), {"nodaemon": True}), LoggedServices(DaemonLog(Log()), None)
    Service().setServiceParent(daemon)
    daemon.setServiceParent(parent)
    assert list(parent) == [daemon]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/opt/crproxy/bin/twistd", "-n", "--logfile", "x.log", "-y", "crproxy.tac"], ("x.log", True)),
        (["twistd", "-y", "crproxy.tac"], (None, None)),
    ],
)
def test_a_tac_finds_out_what_twistd_was_told(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], expected: tuple[str | None, bool | None]
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    options = twistd_of_this_process()
    assert options is not None
    assert (options["logfile"], bool(options["nodaemon"]) or None) == expected


@pytest.mark.parametrize("argv", [["python", "-n"], ["twistd", "--no-such-option"]])
def test_in_another_program_there_is_nothing_to_find(monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert twistd_of_this_process() is None


def test_levels_are_those_of_twisted() -> None:
    written = Written(Level.DEBUG, LogFormat.JSON)
    for level in LogLevel.iterconstants():
        written.tell.emit(level, "x")
    assert [document["level"] for document in written.documents] == ["debug", "info", "warning", "error", "error"]
