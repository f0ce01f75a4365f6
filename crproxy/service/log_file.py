"""A file that lines are added to, for which neither the reactor nor a request ever waits."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["LogFile", "Run", "Written"]

# Seconds that a line waits for others, at the most.
_INTERVAL = 0.5
# A line is about half a KiB: enough for a disk that stands still for some seconds under full load.
_MOST_BYTES = 8 * 1024 * 1024
_MODE = 0o640


@dataclass(frozen=True, slots=True)
class Written:
    """How many bytes were written, and what kept the rest from it."""

    count: int
    error: OSError | None = None


class Run(Protocol):
    """Calls what may block, in a thread or not."""

    def __call__(self, work: Callable[[], Written], /) -> Deferred[Written]:
        """Return what comes of ``work``."""


class LogFile:
    """Adds lines to a file, which its owner writes and its group reads.

    What cannot be written waits, and is tried again. Beyond ``most`` bytes lines are lost, which the log says once, and
    how many they were when it is over.

    Arguments:
        path: of the file.
        clock: says when to write.
        run: does the writing; one at a time.
        most: bytes that may wait.
    """

    _log = Logger()

    def __init__(self, path: str, clock: IReactorTime, run: Run, most: int = _MOST_BYTES) -> None:
        self._clock = clock
        self._run = run
        self._most = most
        self._file = _Appended(path)
        self._waiting = bytearray()
        self._timer: IDelayedCall | None = None
        self._running = False
        self._next_path: str | None = None
        self._closed: Deferred[None] | None = None
        self._failing = False
        self._lost = 0

    def add(self, line: str) -> None:
        """Add a line, soon."""
        data = line.encode("ascii", "backslashreplace") + b"\n"
        if len(self._waiting) + len(data) > self._most:
            self._lose()
            return
        self._waiting += data
        if self._closed is not None and not self._running:
            self._write_the_last()
        else:
            self._soon()

    def open(self, path: str) -> None:
        """Write what waits to the file as it is, and what follows to the one that has this name by then."""
        self._next_path = path
        self._flush()

    def close(self) -> Deferred[None]:
        """Write what waits. What is added later is written at once: connections end after all services have stopped."""
        self._stop_waiting()
        closed = self._closed = Deferred()
        if not self._running:
            self._write_the_last()
            closed.callback(None)
        return closed

    def _soon(self) -> None:
        if self._timer is None and not self._running:
            self._timer = self._clock.callLater(_INTERVAL, self._flush)

    def _flush(self) -> None:
        self._stop_waiting()
        if self._running:
            return
        self._running = True
        batch, path = bytes(self._waiting), self._next_path
        self._next_path = None
        self._run(lambda: self._file.add(batch, path)).addCallback(self._written)

    def _written(self, written: Written) -> None:
        self._running = False
        self._settle(written)
        if self._closed is not None:
            self._write_the_last()
            self._closed.callback(None)
        elif self._next_path is not None:
            self._flush()
        elif self._waiting:
            self._soon()

    def _write_the_last(self) -> None:
        self._settle(self._file.add(bytes(self._waiting), None))
        self._file.close()

    def _settle(self, written: Written) -> None:
        del self._waiting[: written.count]
        if written.error is not None:
            if not self._failing:
                self._log.error("lines cannot be added to {file}: {error}", file=self._file, error=written.error)
            self._failing = True
        elif self._failing or self._lost:
            self._log.warn("lines are added to {file} again; {lost} were lost", file=self._file, lost=self._lost)
            self._failing, self._lost = False, 0

    def _lose(self) -> None:
        if not self._lost:
            self._log.error("{file} does not take its lines: they are lost from now on", file=self._file)
        self._lost += 1

    def _stop_waiting(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class _Appended:
    """The file itself; everything here may block."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __str__(self) -> str:
        return self._path

    def add(self, data: bytes, path: str | None) -> Written:
        """Add ``data``, and, where there is a ``path``, open that from then on."""
        written = self._append(data) if data else Written(0)
        if path is None:
            return written
        self.close()
        self._path = path
        return Written(written.count, written.error or self._append(b"").error)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _append(self, data: bytes) -> Written:
        count = 0
        try:
            descriptor = self._open()
            while count < len(data):
                count += os.write(descriptor, data[count:])
        except OSError as error:
            return Written(count, error)
        return Written(count)

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
            try:
                self._descriptor = os.open(self._path, flags)
            except FileNotFoundError:
                self._descriptor = os.open(self._path, flags | os.O_CREAT, _MODE)
                # The umask of a daemon leaves nothing to its group.
                os.fchmod(self._descriptor, _MODE)
        return self._descriptor
