"""The log, as a test reads it."""

from __future__ import annotations

import gc

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

__all__ = ["Log"]

# Of the garbage collector, until it finds nothing more.
_MOST_PASSES = 5


@implementer(ILogObserver)
class Log:
    """What is logged while it listens."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)

    def __enter__(self) -> Log:
        # What an earlier test left behind tells of itself now, and not to this one. What goes may let go of more, such
        # as a coroutine of the failure that it ends with.
        for _ in range(_MOST_PASSES):
            if not gc.collect():
                break
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
