"""The daemon's log: which of Twisted's events are in it, with the id of the request that each is told on behalf of."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from twisted.application.service import MultiService
from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    formatEvent,
)
from twisted.logger import LogLevel as TwistedLevel
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from zope.interface import implementer

from ..config import Config, Log
from ..policy.log_lines import Entry, LogFormat, LogLevel, json_line, plain, text_line
from ..policy.request_ids import with_id
from ..web.current_request import current_request

__all__ = ["REQUEST", "DaemonLog", "LoggedServices", "portable", "twistd_of_this_process"]

# The field of an event that is told on behalf of a request, where it is told outside of what that started.
REQUEST = "request_id"
# That of a line of the audit log, which is redacted and names its request itself.
_AUDIT = "audit"
_LEVELS = {
    TwistedLevel.debug: LogLevel.DEBUG,
    TwistedLevel.info: LogLevel.INFO,
    TwistedLevel.warn: LogLevel.WARNING,
    TwistedLevel.error: LogLevel.ERROR,
    TwistedLevel.critical: LogLevel.ERROR,
}
# What events have of the interface before twisted.logger's.
_LEGACY = frozenset({"isError", "printed", "system", "format", "failure", "time", "message", REQUEST})


class DaemonLog:
    """What the log has, and how it looks: both may change while it is written.

    Arguments:
        settings: those that count at first.
    """

    def __init__(self, settings: Log) -> None:
        self._settings = settings

    def take(self, config: Config) -> None:
        """Go by another configuration from now on."""
        self._settings = config.log

    def has(self, event: LogEvent) -> bool:
        """Tell whether an event is in the log."""
        return self._settings.level.covers(_level(event))

    def line(self, event: LogEvent) -> str | None:
        """Return the line of an event, with its end; None where it is not in the log, or says nothing."""
        if not self.has(event):
            return None
        entry = entry_of(event)
        if not entry.message and entry.traceback is None:
            return None
        return json_line(entry) if self._settings.style is LogFormat.JSON else text_line(entry)

    def file(self, out: Any) -> FileLogObserver:
        """Return what writes lines to an open file."""
        return FileLogObserver(out, self.line)

    def before(self, observer: Callable[[LogEvent], object]) -> ILogObserver:
        """Return what hands ``observer``, which knows a form of its own, the events that are in the log."""

        @implementer(ILogObserver)
        def passes(event: LogEvent) -> None:
            if self.has(event):
                observer(_with_request(event))

        return cast(ILogObserver, passes)


def entry_of(event: LogEvent) -> Entry:
    """Return what an event tells."""
    found = event.get(_AUDIT)
    audit = found if isinstance(found, dict) else {}
    is_request = bool(audit)
    failure = event.get("log_failure")
    return Entry(
        moment=float(event.get("log_time") or event.get("time") or 0),
        level=_level(event),
        logger=str(event.get("log_system") or event.get("log_namespace") or "-"),
        message=formatEvent(event),
        request=audit.get("request") if is_request else request_of(event),
        # Each answer has such a line, and to redact it once more would take half of the time of a prepared one.
        fields={_AUDIT: audit} if is_request else _fields(event),
        traceback=_traceback(failure) if isinstance(failure, Failure) else None,
        is_request=is_request,
    )


def _fields(event: LogEvent) -> dict[str, Any]:
    return {
        name: plain(name, value)
        for name, value in event.items()
        if not name.startswith("log_") and name not in _LEGACY and name != _AUDIT
    }


def request_of(event: LogEvent) -> str | None:
    """Return the id of the request that an event is told on behalf of; None where it is nobody's."""
    told = event.get(REQUEST)
    if isinstance(told, str):
        return told
    current = current_request()
    return None if current is None or _AUDIT in event else current.to_log


def portable(event: LogEvent) -> LogEvent:
    """Return an event as another process may have it: with its text, its request's id, and plain values."""
    told: LogEvent = {
        name: value if name.startswith("log_") or name == _AUDIT else plain(name, value)
        for name, value in event.items()
        if name not in _LEGACY
    }
    return _with_text(told, formatEvent(event), request_of(event))


def _traceback(failure: Failure) -> str:
    try:
        return failure.getTraceback()
    except Exception as error:
        # Of an exception, say, that has no text.
        return f"{failure.type}, of which nothing can be told: {type(error).__name__}"


def _level(event: LogEvent) -> LogLevel:
    return _LEVELS.get(event.get("log_level"), LogLevel.INFO)


def _with_request(event: LogEvent) -> LogEvent:
    """Return an event whose text names its request."""
    request = request_of(event)
    if request is None or _AUDIT in event:
        return event
    return _with_text(event, with_id(formatEvent(event), request), request)


def _with_text(event: LogEvent, text: str, request: str | None) -> LogEvent:
    """Return an event that has this text, whatever it was made of."""
    kept = {name: value for name, value in event.items() if name != "log_flattened"}
    return {**kept, REQUEST: request, "log_format": "{log_told}", "log_told": text}


class LoggedServices(MultiService):
    """A daemon whose log is written as it is configured, wherever twistd was told to write it.

    ``twistd --logger`` wins: who has an observer of his own gets everything, in Twisted's way.

    Arguments:
        log: says what is in it.
        twistd: its options; None where they are not known, and then the log is twistd's own.
    """

    def __init__(self, log: DaemonLog, twistd: Mapping[str, Any] | None) -> None:
        super().__init__()
        self._log = log
        self._twistd = twistd

    def setServiceParent(self, parent: Any) -> None:
        """Be the application's, which twistd asks for an observer (IService)."""
        if self._twistd is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, _observer(self._log, self._twistd))
        super().setServiceParent(parent)


def _observer(log: DaemonLog, twistd: Mapping[str, Any]) -> ILogObserver:
    """Return what writes where twistd would by its options."""
    from twisted.scripts._twistd_unix import UnixAppLogger

    usual: Any = UnixAppLogger(twistd)._getLogObserver()
    if isinstance(usual, FileLogObserver):
        usual.formatEvent = log.line
        return cast(ILogObserver, usual)
    return log.before(LegacyLogObserverWrapper(usual))


def twistd_of_this_process() -> Mapping[str, Any] | None:
    """Return the options of twistd, where this process is one, for what it runs without handing them on: a .tac."""
    from twisted.scripts._twistd_unix import ServerOptions

    if Path(sys.argv[0]).name != "twistd":
        return None
    options = ServerOptions()
    try:
        options.parseOptions()
    except UsageError:
        # Such as a reactor, which can be installed only once.
        return None
    return options
