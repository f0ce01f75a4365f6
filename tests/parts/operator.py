"""The operator: runs the ``crproxy`` command, as it is installed, and looks at what it says."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import json
import os
import pty
import re
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .process import Process, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .daemon import Daemon

__all__ = ["Operator", "Said"]

_PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """What it wrote, which is one document."""
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        """What it wrote, which is a document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Operator:
    """Somebody with a shell on the daemon's machine.

    Arguments:
        home: a directory of their own.
        socket: the admin socket, which they name by the environment; None leaves it to the command to find.
        become: words before the command, such as those that run it as somebody else.
    """

    def __init__(self, home: Path, socket: Path | None = None, become: Sequence[str] = ()) -> None:
        self._home = home
        self._environment = clean_environment(home, **({} if socket is None else {"CRPROXY_ADMIN": str(socket)}))
        self._command = (*become, str(Path(sys.executable).with_name("crproxy")))

    @classmethod
    def of(cls, daemon: Daemon, home: Path) -> Operator:
        """Return the operator of a daemon, who can be answered from now on."""
        # Its socket is the last to be listened on.
        daemon.wait_for_log("listens on admin://")
        return cls(home, daemon.data_dir / "admin.sock")

    def with_variables(self, **variables: str) -> Operator:
        """Return one whose shell has these variables as well."""
        other = copy.copy(self)
        other._environment = {**self._environment, **variables}
        return other

    def runs(self, *words: str, stdin: str = "") -> Said:
        """Run the command with these words to its end."""
        done = subprocess.run(
            [*self._command, *words],
            cwd=self._home,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def watches(self, *words: str, width: int = 120) -> Iterator[str]:
        """Run the command on a terminal of so many columns; yield what it writes there, as it comes, to its end."""
        ours, theirs = pty.openpty()
        environment = {**self._environment, "TERM": "xterm", "COLUMNS": str(width)}
        child = subprocess.Popen(
            [*self._command, *words], cwd=self._home, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        try:
            # A terminal whose last writer has gone ends in an error (EIO).
            with contextlib.suppress(OSError):
                while written := os.read(ours, 65536):
                    yield written.decode("utf-8", "replace")
        finally:
            os.close(ours)
            child.kill()
            child.wait(_PATIENCE)

    def answers(self, words: Sequence[str], prompt: str, typed: Iterator[str]) -> str:
        """Run the command on a terminal to its end, and type the next line at each ``prompt``, a regular expression.

        Return what was shown.
        """
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            [*self._command, *words],
            cwd=self._home,
            env={**self._environment, "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # The terminal that passwords are asked at is the one that controls the session.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        shown, seen = "", 0
        try:
            with contextlib.suppress(OSError):
                while written := os.read(ours, 65536):
                    shown += written.decode("utf-8", "replace")
                    found = re.search(prompt, shown[seen:])
                    if found is not None:
                        seen += found.end()
                        os.write(ours, next(typed).encode())
            assert child.wait(_PATIENCE) == 0, shown
        finally:
            os.close(ours)
            child.kill()
            child.wait(_PATIENCE)
        return shown

    def begins(self, *words: str) -> Process:
        """Run the command; it is looked at, or stopped, while it runs."""
        return Process([*self._command, *words], self._home, environment=self._environment)
