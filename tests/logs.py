"""The log, as a test reads it."""

from __future__ import annotations

import gc
from typing import Self

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from crproxy.service.daemon_log import request_of

__all__ = ["Log", "LogWithRequests"]


@implementer(ILogObserver)
class Log:
    """What is logged while it listens.

    Arguments:
        collects: what an earlier test left to the garbage collector tells of itself first, and not to this one. Takes
            a tenth of a second and more in a process that has run many tests: nothing for each of many examples.
    """

    def __init__(self, *, collects: bool = True) -> None:
        self.events: list[LogEvent] = []
        self._collects = collects

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)

    def __enter__(self) -> Self:
        if self._collects:
            gc.collect()
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self)

    @property
    def lines(self) -> list[str]:
        return [str(formatEvent(event)) for event in self.events]

    @property
    def complaints(self) -> list[str]:
        gc.collect()  # a Deferred tells of its failure when it goes
        return [str(formatEvent(event)) for event in self.events if event["log_level"] >= LogLevel.warn]

    @property
    def failures(self) -> list[type[BaseException]]:
        return [event["log_failure"].type for event in self.events if "log_failure" in event]


class LogWithRequests(Log):
    """A log that tells on behalf of which request each event is, as the daemon's does."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str | None]] = []

    def __call__(self, event: LogEvent) -> None:
        """Ask at once: later nobody knows."""
        super().__call__(event)
        self.told.append((str(formatEvent(event)), request_of(event)))

    def request_of(self, text: str) -> str:
        """Return the id of the request on behalf of which a text is told."""
        (found,) = {request for line, request in self.told if text in line}
        assert found is not None, text
        return found
