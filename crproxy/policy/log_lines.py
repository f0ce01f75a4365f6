"""One entry of the daemon's log, and the line that it makes: text for people, JSON for programs.

No secret is in either. Which entries count, and where lines go, is not known here.
"""

from __future__ import annotations

import enum
import functools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .redaction import REDACTED, redacted
from .request_ids import with_id

__all__ = ["Entry", "LogFormat", "LogLevel", "json_line", "plain", "text_line"]


class LogFormat(enum.Enum):
    """What a line looks like."""

    TEXT = "text"
    JSON = "json"


class LogLevel(enum.Enum):
    """How much matters: of an entry, that it is one of those; of a log, that it has those from there on."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    def covers(self, other: LogLevel) -> bool:
        """Tell whether a log of this level has entries of that one."""
        return _ORDER.index(self) <= _ORDER.index(other)


_ORDER = list(LogLevel)

# Of a field, that its value is nobody's business.
_SECRET_NAME = re.compile(r"(?i)token|passw|secret|authorization|credential|cookie")
# The names that a JSON line has for itself.
_OWN = frozenset({"time", "level", "logger", "message", "request", "traceback"})
# The lines of a traceback that say where it was are source code, in which nothing is anybody's.
_CODE = "  "


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be told.

    Arguments:
        moment: seconds since the epoch.
        level: how much it matters.
        logger: who tells it, such as ``crproxy.web``.
        message: what it is, for people.
        request: the id of the request that it is told on behalf of; None where it is nobody's.
        fields: the values in the message, by name, as `plain` returns them.
        traceback: where it went wrong, if it did.
        is_request: it is a line of the audit log, in which nothing is a secret and which names its request itself.
    """

    moment: float
    level: LogLevel
    logger: str
    message: str
    request: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    traceback: str | None = None
    is_request: bool = False


def text_line(entry: Entry) -> str:
    """Return the line for people: time, who tells it, level, message. What does not fit on it is indented below."""
    message = _message(entry)
    if entry.request is not None and not entry.is_request:
        message = with_id(message, entry.request)
    if entry.traceback is not None:
        message = f"{message}\n{_without_secrets(entry.traceback)}"
    text = "\n\t".join(message.rstrip("\n").splitlines())
    return f"{_local_time(int(entry.moment))} [{entry.logger}#{entry.level.value}] {text}\n"


# Many lines come in one second.
@functools.lru_cache(2)
def _local_time(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC).astimezone():%Y-%m-%dT%H:%M:%S%z}"


def json_line(entry: Entry) -> str:
    """Return the line for programs: one JSON object (RFC 8259) in ASCII, its time as of RFC 3339, 5.6."""
    moment = datetime.fromtimestamp(entry.moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document: dict[str, Any] = {
        "time": moment,
        "level": entry.level.value,
        "logger": entry.logger,
        "message": _message(entry),
    }
    if entry.request is not None:
        document["request"] = entry.request
    document |= {name: value for name, value in entry.fields.items() if name not in _OWN}
    if entry.traceback is not None:
        document["traceback"] = _without_secrets(entry.traceback)
    return json.dumps(document, allow_nan=False) + "\n"


def plain(name: str, value: object) -> Any:
    """Return the value of a field as JSON has values: texts without secrets, what is no JSON as its text."""
    if _SECRET_NAME.search(name):
        return REDACTED
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return redacted(value)
        case Mapping():
            return {str(key): plain(str(key), each) for key, each in value.items()}
        case bytes() | bytearray() | memoryview():
            return redacted(bytes(value).decode("latin-1"))
        case list() | tuple() | set() | frozenset():
            return [plain(name, each) for each in value]
    try:
        return redacted(str(value))
    except Exception:
        # Nothing that is told may break because of how it is told.
        return f"<{type(value).__name__}>"


def _message(entry: Entry) -> str:
    return entry.message if entry.is_request else redacted(entry.message)


def _without_secrets(traceback: str) -> str:
    lines = traceback.rstrip("\n").split("\n")
    return "\n".join(line if line.startswith(_CODE) else redacted(line) for line in lines)
