"""A command-line program that is run to its end, in an environment of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from .process import clean_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Failed", "Program"]

_PATIENCE = 120


class Failed(Exception):
    """The program ended with another status than 0."""


class Program:
    """Some program with its leading arguments.

    Arguments:
        command: the program's path and what it is always given.
        home: its home and working directory.
        environment: more variables.
    """

    def __init__(self, command: Sequence[str], home: Path, **environment: str) -> None:
        self._command = tuple(command)
        self._home = home
        self._environment = clean_environment(home, **environment)

    def run(self, *arguments: str, seconds: float = _PATIENCE) -> bytes:
        """Run it, and return what it writes to its standard output; raise Failed with what it said.

        Arguments:
            seconds: how long it may take.
        """
        command = [*self._command, *arguments]
        done = subprocess.run(
            command, cwd=self._home, env=self._environment, capture_output=True, check=False, timeout=seconds
        )
        if done.returncode:
            raise Failed(f"{' '.join(command)}\n{done.stdout.decode()}{done.stderr.decode()}")
        return done.stdout

    def words(self, *arguments: str) -> list[str]:
        """Run it, and return the words it writes."""
        return self.run(*arguments).decode().split()
