"""One line for each request: who asked what, and what became of it.

Redaction is part of writing a line (``redaction.py``), so that no way to a log leads around it. Where lines go is not
known here.
"""

from __future__ import annotations

import enum
import functools
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .redaction import escaped, redacted, redacted_target

__all__ = ["CacheState", "Ending", "Fields", "Format", "Record", "Repeated", "cache_state", "fields", "write_line"]

# What a line holds, by name; texts are redacted.
Fields = dict[str, str | int | float | None]

# A target is 16 KiB at the most, and a log is read by people.
_LONGEST = 1024
# strftime's %b is the locale's; a log's months are English (Apache's %t).
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Format(enum.Enum):
    """What a line looks like."""

    JSON = "json"
    COMBINED = "combined"


class Ending(enum.Enum):
    """How a request ended: its answer went out whole, its client left before that, or we cut it."""

    WHOLE = "whole"
    LEFT = "left"
    CUT = "cut"


class CacheState(enum.Enum):
    """What the cache had to do with an answer."""

    HIT = "hit"
    MISS = "miss"
    STORED = "stored"
    COLLAPSED = "collapsed"
    REVALIDATED = "revalidated"
    STALE = "stale"
    SPARED = "spared"


@dataclass(frozen=True, slots=True)
class Record:
    """A request and its answer, as they were; nothing is redacted yet.

    Arguments:
        moment: when it came, in seconds since the epoch.
        site: which of ours it was, such as ``registry``, ``plain`` or ``admin``.
        client: the client's address; None where it came by a socket of this machine.
        user: who has logged in; None where nobody has.
        method, target, protocol: the request line's.
        host, agent: header fields, None where they were missing.
        registry, repository, reference: what was asked for, where that was understood; the repository's path there.
        status: of the answer; None where none was begun.
        sent: bytes of the body that were handed to the connection.
        seconds: from the whole request to its end.
        cache: what the cache had to do with it.
        ending: how it ended.
        request: its id, where anybody was told that: with an error, by the log, or by a proxy in front of this one.
    """

    moment: float
    site: str
    client: str | None
    user: str | None
    method: str
    target: str
    protocol: str
    host: str | None
    agent: str | None
    registry: str | None
    repository: str | None
    reference: str | None
    status: int | None
    sent: int
    seconds: float
    cache: CacheState | None
    ending: Ending
    request: str | None = None


class Repeated:
    """A request that comes again and again, and is answered the same: what its lines have in common is made once.

    They differ in when it came, and from where; it took no time.

    Arguments:
        record: of one of them.
    """

    def __init__(self, record: Record) -> None:
        self.record = replace(record, seconds=0.0, request=None)
        self._fields = fields(self.record)
        self._json = json.dumps({name: value for name, value in self._fields.items() if name not in _VARYING})[1:]
        self._combined = _after_time(self.record, self._fields)

    @property
    def size(self) -> int:
        """Bytes in memory, about: of its texts."""
        texts = [self._json, self._combined, *self._fields.values(), self.record.target, self.record.agent]
        # What comes from a header has a byte for each character, and the lines are ASCII.
        return sum(_STRING + len(text) for text in texts if isinstance(text, str))

    def fields(self, moment: float, client: str | None) -> Fields:
        """Return what a line holds, as the function of this name."""
        return {**self._fields, "time": _time(moment), "client": client}

    def line(self, style: Format, moment: float, client: str | None) -> str:
        """Return a line, as `write_line`: the same fields, though JSON has those that vary in front."""
        if style is Format.JSON:
            return f'{{"time": "{_time(moment)}", "client": {json.dumps(client)}, {self._json}'
        return f"{_before_time(client, self._fields)} [{_common_time(int(moment))}] {self._combined}"


# Bytes of a string besides its characters.
_STRING = 64
_VARYING = frozenset({"time", "client"})


def cache_state(cache_status: str | None) -> CacheState | None:
    """Return what a ``Cache-Status`` (RFC 9211) of ours says; None where there is none."""
    if cache_status is None:
        return None
    parameters = {parameter.strip() for parameter in cache_status.split(";")}
    for parameter, state in _STATES:
        if parameter in parameters:
            return state
    return CacheState.MISS


# The first that is there counts.
_STATES = (
    ("fwd=stale", CacheState.STALE),
    ("detail=revalidated", CacheState.REVALIDATED),
    ("detail=quota", CacheState.SPARED),
    ("hit", CacheState.HIT),
    ("collapsed", CacheState.COLLAPSED),
    ("stored", CacheState.STORED),
)


def write_line(record: Record, style: Format, found: Fields | None = None) -> str:
    """Return the line for ``record``, without its end: printable ASCII, and no secret in it.

    Arguments:
        found: its fields, where they have been read already.
    """
    found = fields(record) if found is None else found
    return json.dumps(found) if style is Format.JSON else _combined(record, found)


def fields(record: Record) -> Fields:
    """Return what a line holds, by name; texts are redacted."""
    return {
        "time": _time(record.moment),
        "site": record.site,
        "client": record.client,
        "user": _text(record.user),
        "method": _text(record.method),
        "host": _text(record.host),
        "path": _cut(redacted_target(record.target)),
        "registry": record.registry,
        "repository": record.repository,
        "reference": record.reference,
        "status": record.status,
        "bytes": record.sent,
        "seconds": round(record.seconds, 3),
        "cache": None if record.cache is None else record.cache.value,
        "ending": record.ending.value,
        "agent": _text(record.agent),
        "request": record.request,
    }


def _time(moment: float) -> str:
    """Return a time as of RFC 3339, 5.6."""
    second, microseconds = divmod(round(moment * 1_000_000), 1_000_000)
    return f"{_whole_second(second)}.{microseconds // 1000:03}Z"


# Many requests come in one second.
@functools.lru_cache(2)
def _whole_second(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S}"


def _combined(record: Record, found: Fields) -> str:
    """Apache's combined format, and behind it what that has no place for, as ``name=value``.

    The place of the Referer stays empty: no client of a registry sends one, and a browser's may hold anything.
    """
    moment = _common_time(int(record.moment))
    return f"{_before_time(record.client, found)} [{moment}] {_after_time(record, found)}"


def _before_time(client: str | None, found: Fields) -> str:
    return f"{_bare(client)} - {_bare(found['user'])}"


def _after_time(record: Record, found: Fields) -> str:
    request = f"{found['method']} {found['path']} {record.protocol}"
    agent = str(found["agent"] or "-")
    named = " ".join(
        f"{name}={_bare(found[name])}"
        for name in ("site", "host", "registry", "repository", "reference", "seconds", "cache", "ending", "request")
    )
    return f'"{escaped(request)}" {_bare(found["status"])} {record.sent} "-" "{escaped(agent)}" {named}'


@functools.lru_cache(2)
def _common_time(moment: int) -> str:
    at = datetime.fromtimestamp(moment, UTC)
    return f"{at.day:02}/{_MONTHS[at.month - 1]}/{at.year:04}:{at:%H:%M:%S} +0000"


def _bare(value: str | int | float | None) -> str:
    """Return a value that stands without quotes."""
    return escaped(str(value)).replace(" ", "\\x20") if value not in (None, "") else "-"


# User agents and hosts come again and again.
@functools.lru_cache(256)
def _text(text: str | None) -> str | None:
    return None if text is None else _cut(redacted(text))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
