"""A child process whose output is read as it is written, so that a test can wait for a line.

What was written before the output is looked at is in it: a line that a program writes before it does something is there
once that is seen. For what is written afterwards, a test waits. It knows nothing of what the child is.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import select
import subprocess
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Process", "clean_environment"]

# What a developer's shell may carry that would send a test's traffic elsewhere or lend it credentials.
_FOREIGN = re.compile(
    r"(?i).*_proxy|DOCKER_.*|CONTAINER_.*|CONTAINERS_.*|REGISTRY_.*|XDG_.*|STATE_DIRECTORY|CRPROXY_.*|NOTIFY_SOCKET"
)


def clean_environment(home: Path, **extra: str) -> dict[str, str]:
    """Return this process's environment with a home of its own and without proxies and credentials."""
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    return {**kept, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "LC_ALL": "C.UTF-8", **extra}


class Process:
    """A running program; leaving the ``with`` block ends it, by its own id.

    Arguments:
        command: the program and its arguments.
        directory: where it runs; also its home.
        environment: in place of the clean one.
        patience: how many seconds it may take to end when asked to, before it is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        patience: float = 15,
    ) -> None:
        self.command = tuple(command)
        self.patience = patience
        self._pieces: list[str] = []
        self._decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
        self._ended = False
        self._news = threading.Condition()
        self._child = subprocess.Popen(
            self.command,
            cwd=directory,
            env=clean_environment(directory) if environment is None else environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._child.stdout is not None
        self._output = self._child.stdout
        os.set_blocking(self._output.fileno(), False)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def log(self) -> str:
        """All that it has written so far."""
        with self._news:
            self._take()
            return self._text()

    def wait_for(self, pattern: str, seconds: float = 60, *, after: int = 0) -> re.Match[str]:
        """Return the first match of ``pattern`` in the log from character ``after`` on, as soon as it is there."""
        looked_for = re.compile(pattern)

        def found_or_ended() -> re.Match[str] | bool:
            return looked_for.search(self._text(), after) or self._ended

        with self._news:
            self._take()
            self._news.wait_for(found_or_ended, seconds)
            match = looked_for.search(self._text(), after)
        if match is None:
            what = "ended" if self._ended else f"said nothing of it in {seconds} s"
            raise AssertionError(f"{self.command[0]} {what} before it wrote {pattern!r}; its log:\n{self.log}")
        return match

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._child.send_signal(number)

    def wait(self, seconds: float | None = None) -> int:
        """Wait until it ends by itself, and return its exit status.

        Arguments:
            seconds: as long as it may take; None is as long as for everything.
        """
        limit = self.patience if seconds is None else seconds
        try:
            status = self._child.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command[0]} has not ended within {limit} s; its log:\n{self.log}") from None
        # It has an end only now.
        self._reader.join(self.patience)
        return status

    def stop(self) -> int:
        """Ask it to end, wait until it has, and return its exit status."""
        self._child.terminate()
        try:
            return self._child.wait(self.patience)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise AssertionError(
                f"{self.command[0]} did not end within {self.patience} s; its log:\n{self.log}"
            ) from None
        finally:
            self._reader.join(self.patience)

    def kill(self) -> None:
        """End it at once, without a chance to tidy up, and wait until it has ended."""
        self._child.kill()
        self._child.wait()
        self._reader.join(self.patience)

    def _read(self) -> None:
        """Take what comes, in a thread, until there is an end to it."""
        while not self._ended:
            select.select([self._output], [], [])
            with self._news:
                self._take()
                self._news.notify_all()
        self._output.close()

    def _take(self) -> None:
        """Take all that is there now. Whoever calls this has the lock."""
        while not self._ended:
            try:
                data = os.read(self._output.fileno(), 1 << 16)
            except BlockingIOError:
                return
            self._pieces.append(self._decoder.decode(data, final=not data))
            self._ended = not data

    def _text(self) -> str:
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]
