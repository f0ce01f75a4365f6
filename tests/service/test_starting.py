from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from twisted.application.service import Service

from crproxy.config import ConfigError, OptionError
from crproxy.service.data_directory import prepare_data_directory
from crproxy.service.listening import ListenError
from crproxy.service.starting import (
    CannotStart,
    NotStarted,
    StartFault,
    Starting,
    end_by,
    fault_of,
    say_faults_in_a_line,
)
from crproxy.tls.certificates import BadCertificate
from tests.configs import loaded
from tests.logs import Log


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConfigError("line 1: x"), StartFault("line 1: x", 2)),
        (OptionError("--x: y"), StartFault("--x: y", 2)),
        (ListenError("cannot listen"), StartFault("cannot listen", 1)),
        (CannotStart("why"), StartFault("why", 1)),
        (BadCertificate("no key"), StartFault("no key", 1)),
        (PermissionError(13, "Permission denied", "/x"), StartFault("it cannot start: /x: Permission denied", 1)),
        (OSError(24, "Too many open files"), StartFault("it cannot start: Too many open files", 1)),
        (NotStarted(StartFault("said", 2)), StartFault("said", 2)),
        (ValueError("a mistake of ours"), None),
        (OSError("of nobody knows what"), None),
    ],
)
def test_what_an_error_means(error: Exception, fault: StartFault | None) -> None:
    assert fault_of(error) == fault


def test_it_is_one_line() -> None:
    assert str(StartFault("a\nb\n  c", 1)) == "crproxy: a b c"


def test_a_mistake_in_the_configuration_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        end_by(StartFault("x: no", 2))
    assert (raised.value.code, capsys.readouterr()) == (2, ("", "crproxy: x: no\n"))


class Fails(Service):
    """Fails when it starts, in one way or the other."""

    def __init__(self, error: Exception, *, privileged: bool) -> None:
        self._error = error
        self._privileged = privileged

    def privilegedStartService(self) -> None:
        if self._privileged:
            raise self._error

    def startService(self) -> None:
        raise self._error


@pytest.mark.parametrize("privileged", [True, False])
def test_what_a_part_fails_by_is_a_fault_of_the_whole(privileged: bool) -> None:
    whole = Starting()
    Fails(ListenError("cannot listen"), privileged=privileged).setServiceParent(whole)
    with pytest.raises(NotStarted) as raised:
        (whole.privilegedStartService if privileged else whole.startService)()
    assert raised.value.fault == StartFault("cannot listen", 1)


def test_a_mistake_of_ours_stays_what_it_is() -> None:
    whole = Starting()
    Fails(ValueError("ours"), privileged=False).setServiceParent(whole)
    with pytest.raises(ValueError, match="ours"):
        whole.startService()


def test_in_the_background_the_line_is_written_where_it_was_started(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    whole = Starting(background=True)
    Fails(ListenError("cannot listen"), privileged=True).setServiceParent(whole)
    with Log() as log, pytest.raises(NotStarted):
        whole.privilegedStartService()
    assert log.lines == ["cannot listen"]
    assert sys.__stderr__ is not None
    # What twistd's process says that waits for it.
    sys.__stderr__.write("An error has occurred: 'crproxy.service.starting.NotStarted: cannot'\nPlease look at")
    sys.__stderr__.write("another word\n")
    sys.__stderr__.flush()
    assert capfd.readouterr().err.endswith("crproxy: cannot listen\nanother word\n")


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_once_it_runs_the_terminal_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    before = open_files()
    whole = Starting(background=True)
    whole.privilegedStartService()
    whole.startService()
    assert open_files() == before


class Left(Exception):
    """The process ended."""


def test_python_is_told_how_to_end(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: said.append(error))
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)

    def leave(status: int) -> None:
        raise Left(status)

    monkeypatch.setattr(os, "_exit", leave)
    say_faults_in_a_line()
    ours = ValueError("a mistake of ours")
    sys.excepthook(ValueError, ours, None)
    assert said == [ours]
    with pytest.raises(Left, match="1"):
        sys.excepthook(NotStarted, NotStarted(StartFault("cannot listen")), None)
    assert capfd.readouterr().err == "crproxy: cannot listen\n"


def test_a_data_directory_is_made(tmp_path: Path) -> None:
    prepare_data_directory(loaded(data_dir=str(tmp_path / "a" / "b")))
    assert (tmp_path / "a" / "b" / "cache").is_dir()


@pytest.mark.parametrize("inside", [False, True])
def test_one_that_is_a_file_is_a_fault(tmp_path: Path, inside: bool) -> None:
    (tmp_path / "data").write_text("")
    directory = tmp_path / "data" / "more" if inside else tmp_path / "data"
    with pytest.raises(CannotStart, match=f"the data directory {directory} cannot be used by the user with the number"):
        prepare_data_directory(loaded(data_dir=str(directory)))


def test_one_that_is_anothers_is_a_fault_unless_it_may_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "chmod", denied)
    with pytest.raises(PermissionError):
        prepare_data_directory(loaded(data_dir=str(tmp_path)))
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK)
    with pytest.raises(CannotStart, match=r"Operation not permitted\. Let that user have it \(chown -R \d+ "):
        prepare_data_directory(loaded(data_dir=str(tmp_path)))


def test_a_disk_that_is_read_only_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is passed on then."""

    def read_only(self: Path, mode: int) -> None:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "chmod", read_only)
    with pytest.raises(OSError, match="Read-only file system"):
        prepare_data_directory(loaded(data_dir=str(tmp_path)))
