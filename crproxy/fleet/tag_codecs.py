"""Histories of tags, sightings of digests and pins as they lie in Valkey: JSON, with times by its clock.

What is sealed was written by a node, perhaps one of another version, or with a clock that is wrong: what comes is
checked, and whatever is wrong with it is a ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from ..oci.digests import Digest
from ..oci.documents import parse_json
from ..oci.errors import RegistryError
from ..oci.names import Registry, Repository, Tag
from ..policy.minimum_age import TagChange
from ..policy.united_histories import MOST_CHANGES
from ..store.tag_pins import PinChange
from .codecs import finite, text
from .common_time import CommonTime

__all__ = ["history_from", "history_to", "pins_from", "pins_to", "sighting_from", "sighting_to"]

Read = TypeVar("Read")

# Pins of one value: of the shortest names there are less in as many bytes as are read.
_MOST_PINS = 10_000
# Seconds that a moment may lie in the time to come: no clock is quite right.
_AHEAD = 60.0
# Of a client's address.
_LONGEST_ADDRESS = 100


def history_to(changes: Iterable[TagChange], time: CommonTime) -> bytes:
    """Return what tells of a history."""
    said = [
        [str(each.digest or ""), time.told(each.seen), time.told(each.last), each.asked_by or ""] for each in changes
    ]
    return _bytes(said)


def history_from(said: bytes, time: CommonTime, now: float) -> list[TagChange]:
    """Return a history, the oldest first, as far as it can be read.

    Arguments:
        now: seconds since the epoch.
    """
    return list(_readable(said, MOST_CHANGES, lambda each: _change(each, time, now)))


def _change(said: Any, time: CommonTime, now: float) -> TagChange:
    digest, seen, last, asked_by = _several(said, 4)
    if len(text(asked_by)) > _LONGEST_ADDRESS or not asked_by.isprintable():
        raise ValueError("that is nobody's address")
    first = _past(seen, time, now)
    return TagChange(_digest(digest), first, max(first, _past(last, time, now)), asked_by or None)


def sighting_to(seen: float, time: CommonTime) -> bytes:
    """Return what tells when a digest was seen first."""
    return _bytes(time.told(seen))


def sighting_from(said: bytes, time: CommonTime, now: float) -> float:
    """Return when a digest was seen first."""
    return _past(parse_json(said), time, now)


def pins_to(pins: Iterable[PinChange], time: CommonTime) -> bytes:
    """Return what tells of pins, and of such as were taken away."""
    said = [
        [each.repository.registry.name, each.repository.path, each.tag.name, str(each.digest or ""), time.told(each.at)]
        for each in pins
    ]
    return _bytes(said)


def pins_from(said: bytes, time: CommonTime, now: float) -> list[PinChange]:
    """Return pins, and such as were taken away; those that cannot be read are left out."""
    return list(_readable(said, _MOST_PINS, lambda each: _pin(each, time, now)))


def _readable(said: bytes, most: int, read: Callable[[Any], Read]) -> Iterator[Read]:
    """Give what can be read of a list."""
    parsed = parse_json(said)
    if not isinstance(parsed, list) or len(parsed) > most:
        raise ValueError("it is no list, or too long")
    for each in parsed:
        try:
            yield read(each)
        except (ValueError, RegistryError):
            continue


def _pin(said: Any, time: CommonTime, now: float) -> PinChange:
    registry, path, name, digest, at = _several(said, 5)
    repository = Repository.parse(Registry.parse(text(registry)), text(path))
    return PinChange(repository, Tag.parse(text(name)), _digest(digest), _past(at, time, now))


def _digest(said: Any) -> Digest | None:
    return Digest.parse(text(said)) if said != "" else None


def _past(said: Any, time: CommonTime, now: float) -> float:
    moment = time.heard(finite(said))
    if not 0 <= moment <= now + _AHEAD:
        raise ValueError("that is no time that has been")
    return moment


def _several(said: Any, number: int) -> Sequence[Any]:
    if not isinstance(said, list) or len(said) != number:
        raise ValueError(f"it is no list of {number}")
    return said


def _bytes(said: Any) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode("ascii")
