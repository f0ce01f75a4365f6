"""The warnings and errors of the daemon's log that the operator's page shows: the last few, each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.logger import ILogObserver, LogLevel, LogPublisher, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from ..admin.page.overview import Trouble
from ..policy.redaction import redacted

__all__ = ["RecentErrors"]

_MOST = 50
_LONGEST = 400
_LEVELS = frozenset({LogLevel.warn, LogLevel.error, LogLevel.critical})


@implementer(ILogObserver)
class RecentErrors(Service):
    """Keeps them, while it runs.

    Arguments:
        now: seconds since the epoch.
        publisher: of log events.
    """

    def __init__(self, now: Callable[[], float], publisher: LogPublisher = globalLogPublisher) -> None:
        self._now = now
        self._publisher = publisher
        self._kept: dict[str, Trouble] = {}

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is kept."""
        return tuple(self._kept.values())

    def startService(self) -> None:
        """Begin (IService)."""
        super().startService()
        self._publisher.addObserver(self)

    def stopService(self) -> None:
        """End (IService)."""
        super().stopService()
        self._publisher.removeObserver(self)

    def __call__(self, event: dict[str, Any]) -> None:
        """Take in an event (ILogObserver)."""
        if event.get("log_level") not in _LEVELS:
            return
        text = _text(event)
        if not text:
            return
        before = self._kept.pop(text, None)
        self._kept[text] = Trouble(text, self._now(), 1 if before is None else before.times + 1)
        if len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]


def _text(event: dict[str, Any]) -> str:
    """Return the words of an event, with those of its failure, in one line and without secrets."""
    failure = event.get("log_failure")
    said = [formatEvent(event).partition("\n")[0]]
    if isinstance(failure, Failure):
        said.append(failure.getErrorMessage() or type(failure.value).__name__)
    text = redacted(": ".join(filter(None, said)))
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
