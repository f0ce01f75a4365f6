"""How a start that fails is told: one line that says what, where and what to do, and an exit status.

A mistake of crproxy's own is told by its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Never

from twisted.application.service import MultiService
from twisted.logger import Logger

from ..config import ConfigError
from ..tls.certificates import BadCertificate

__all__ = [
    "CONFIGURATION",
    "CannotStart",
    "NotStarted",
    "StartFault",
    "Starting",
    "end_by",
    "fault_of",
    "leave_by",
    "say_faults_in_a_line",
]

# What sysexits and shells call a command line that is wrong; and anything else.
CONFIGURATION, OTHER = 2, 1


class CannotStart(Exception):
    """The daemon cannot start; the text says why, where, and what to do."""


@dataclass(frozen=True, slots=True)
class StartFault:
    """Why there is no start.

    Arguments:
        line: for the operator.
        status: that the process exits with: 2 for a mistake in the configuration, 1 for all else.
    """

    line: str
    status: int = OTHER

    def __str__(self) -> str:
        return f"crproxy: {' '.join(self.line.split())}"


class NotStarted(Exception):
    """A service could not start: raised for twistd, which then removes its pid file."""

    def __init__(self, fault: StartFault) -> None:
        super().__init__(fault.line)
        self.fault = fault


def fault_of(error: BaseException) -> StartFault | None:
    """Return what ``error`` means to the operator; None where it is a mistake of crproxy's own."""
    if isinstance(error, NotStarted):
        return error.fault
    if isinstance(error, ConfigError):
        return StartFault(str(error), CONFIGURATION)
    if isinstance(error, CannotStart | BadCertificate):
        return StartFault(str(error))
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return StartFault(f"it cannot start: {where}{error.strerror}")
    return None


def end_by(fault: StartFault) -> Never:
    """Say what is wrong, and end before anything has started.

    Raises:
        SystemExit: always; twistd, and what reads a .tac file, let it through.
    """
    print(fault, file=sys.stderr, flush=True)
    raise SystemExit(fault.status)


class Starting(MultiService):
    """The whole daemon: what keeps a part of it from starting is raised as NotStarted.

    Arguments:
        background: twistd goes to the background first, where there is no standard error any more: what was open before
            is kept for the one line, until the start is over.
    """

    _log = Logger()

    def __init__(self, *, background: bool = False) -> None:
        super().__init__()
        self._terminal: int | None = None
        if background:
            self._terminal = os.dup(2)
            sys.__stderr__ = _NotTwice(sys.__stderr__)  # type: ignore[assignment, misc]

    def privilegedStartService(self) -> None:
        """Start what needs privileges (IService). Raises NotStarted."""
        self._told(super().privilegedStartService)

    def startService(self) -> None:
        """Start the rest (IService). Raises NotStarted."""
        self._told(super().startService)
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            os.close(terminal)

    def _told(self, start: Callable[[], None]) -> None:
        try:
            start()
        except Exception as error:
            fault = fault_of(error)
            if fault is None:
                raise
            if self._terminal is not None:
                self._log.critical("{fault}", fault=fault.line)
                os.write(self._terminal, f"{fault}\n".encode())
            raise NotStarted(fault) from error


class _NotTwice:
    """Standard error of the process that waits for the one in the background, whose line was written already.

    twistd says there that an error has occurred, with a piece of its text (UnixApplicationRunner._waitForStart).
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, text: str) -> int:
        if "An error has occurred" in text and NotStarted.__name__ in text:
            return len(text)
        written: int = self._file.write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def say_faults_in_a_line() -> None:
    """Have a start that failed told by its line, where Python would print a traceback and exit with 1."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not isinstance(error, NotStarted):
            before(kind, error, traceback)
            return
        # Threads of what had started would be waited for, and nobody ends them.
        leave_by(error.fault)

    sys.excepthook = hook


def leave_by(fault: StartFault) -> Never:
    """Say what is wrong, and end at once, also from inside of the reactor."""
    # What twistd has made of sys.stderr is its log.
    file = sys.__stderr__ if sys.__stderr__ is not None else sys.stderr
    print(fault, file=file, flush=True)
    sys.stdout.flush()
    os._exit(fault.status)
