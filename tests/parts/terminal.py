"""A program at a terminal, and somebody who types there."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Terminal"]

_PATIENCE = 60.0
# What moves the cursor and colours text (ECMA-48, 5.4), and titles of windows.
_CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>]|\([A-Z])")


class Terminal:
    """A program that runs until the ``with`` block ends.

    Arguments:
        command: the program and its arguments.
        environment: all of it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._said = ""
        self._child, self._terminal = pty.fork()
        if self._child == 0:
            os.execvpe(command[0], list(command), dict(environment))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        os.close(self._terminal)

    @property
    def said(self) -> str:
        """What it has shown so far, without colours."""
        return _CONTROL.sub("", self._said)

    def type(self, text: str) -> None:
        """Type ``text``; "\\n" and "\\t" are keys."""
        os.write(self._terminal, text.encode())

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the first match of ``pattern`` in what it shows, as soon as it is there; forget all up to it."""
        until = time.monotonic() + _PATIENCE
        while (match := re.search(pattern, self.said)) is None:
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"nothing of {pattern!r} in:\n{self.said}"
            self._said += os.read(self._terminal, 4096).decode(errors="replace")
        self._said = self.said[match.end() :]
        return match
