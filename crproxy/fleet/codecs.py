"""What workers know in common and other nodes are told of as well, as JSON: each kind by a codec of its own.

All records of `Sharing` are told here or are not for others:

- *quotas*, *limits*, *limited repositories*: what registries said of ours. Nodes that leave by other addresses may have
  others with Docker Hub; it is asked with one login then.
- *outages*, *slow hosts*: hearsay. What one node sees may be its own trouble, so others believe it once, and find out
  for themselves when it is over.
- *resting endpoints*, *blamed endpoints*: whom to ask first.
- *http-01*, *tls-alpn-01*: one node orders certificates, and the CA asks any of them.
- Not *tokens* and *scopes*: secrets of registries; nor *right passwords*, hashed with a key that ends with the daemon:
  each node finds out for itself.
- Not *holders* and *flights*: which worker of this node fills what. Nor *metrics*, *upstreams up* and *endpoints up*:
  monitoring asks each node.

Times go over in Valkey's: ``ahead`` is how much our clock is ahead of it. What comes is checked, for it may be another
version's: whatever is wrong with it is a ValueError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..oci.errors import RegistryError
from ..oci.names import Registry
from ..policy.endpoint_order import BLAME_SECONDS, REST_SECONDS
from ..policy.quotas import Limit, Limited, Quota
from ..upstream.availability import Host, Outage

__all__ = ["KINDS", "Kind", "finite", "text"]

_LONGEST = 4096
_HOUR, _DAY = 3600.0, 86400.0
# Repositories that are limited at once: more than are ever kept.
_MOST_PATHS = 100


@dataclass(frozen=True, slots=True)
class Kind:
    """How records of one kind are told.

    Arguments:
        key_to: makes JSON of a key.
        key_from: makes a key of that. Raises ValueError.
        value_to: makes JSON of a value, with ``ahead``.
        value_from: makes a value of that, with ``ahead`` and the time. Raises ValueError.
        lasts: seconds for which a value is of use to who starts later, at this time.
        is_hearsay: it is believed of another node once, and of that node alone that it is over.
    """

    key_to: Callable[[Any], Any]
    key_from: Callable[[Any], Any]
    value_to: Callable[[Any, float], Any]
    value_from: Callable[[Any, float, float], Any]
    lasts: Callable[[Any, float], float]
    is_hearsay: bool = False

    def field(self, key: Any) -> str:
        """Return the text that stands for ``key``."""
        return json.dumps(self.key_to(key), separators=(",", ":"))


# What comes


def text(said: Any) -> str:
    """Return a text. Raises ValueError."""
    if not isinstance(said, str) or len(said) > _LONGEST:
        raise ValueError("it is no text")
    return said


def finite(said: Any) -> float:
    """Return a number. Raises ValueError."""
    if not isinstance(said, int | float) or isinstance(said, bool) or not math.isfinite(said):
        raise ValueError("it is no number")
    return said


def _whole(said: Any) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or said < 0:
        raise ValueError("it is no whole number")
    return said


def _several(said: Any, number: int) -> list[Any]:
    if not isinstance(said, list) or len(said) != number:
        raise ValueError(f"it is no list of {number}")
    return said


def _registry(said: Any) -> Registry:
    try:
        return Registry.parse(text(said))
    except RegistryError as error:
        raise ValueError(error.message) from None


def _past(said: Any, ahead: float, now: float) -> float:
    """Return a time that has been: no clock is quite right, and what begins later does not count yet."""
    return min(finite(said) + ahead, now)


def _texts(number: int) -> Callable[[Any], tuple[str, ...]]:
    return lambda said: tuple(map(text, _several(said, number)))


# Kinds


def _quota_to(quota: Quota, ahead: float) -> Any:
    return [quota.limit, quota.remaining, quota.window, quota.seen - ahead]


def _quota_from(said: Any, ahead: float, now: float) -> Quota:
    limit, remaining, window, seen = _several(said, 4)
    window = None if window is None else _whole(window)
    return Quota(_whole(limit), _whole(remaining), window, _past(seen, ahead, now))


def _limited_to(limited: Limited) -> Any:
    return [limited.registry.name, limited.endpoint, limited.credential, limited.what, limited.repository]


def _limited_from(said: Any) -> Limited:
    registry, *others = _several(said, 5)
    return Limited(_registry(registry), *map(text, others))


def _limit_to(limit: Limit, ahead: float) -> Any:
    return [limit.since - ahead, limit.until - ahead, limit.probe - ahead, limit.message]


def _limit_from(said: Any, ahead: float, now: float) -> Limit:
    since, until, probe, message = _several(said, 4)
    return Limit(_past(since, ahead, now), finite(until) + ahead, finite(probe) + ahead, text(message))


def _paths_to(paths: dict[str, float], ahead: float) -> Any:
    return {path: until - ahead for path, until in paths.items()}


def _paths_from(said: Any, ahead: float, _: float) -> dict[str, float]:
    if not isinstance(said, dict) or len(said) > _MOST_PATHS:
        raise ValueError("it is no object of times")
    return {text(path): finite(until) + ahead for path, until in said.items()}


def _host_to(host: Host) -> Any:
    return [host.registry, host.origin]


def _host_from(said: Any) -> Host:
    return Host(*map(text, _several(said, 2)))


def _outage_to(outage: Outage, ahead: float) -> Any:
    return [outage.since - ahead, outage.until - ahead]


def _outage_from(said: Any, ahead: float, now: float) -> Outage:
    since, until = _several(said, 2)
    return Outage(_past(since, ahead, now), finite(until) + ahead)


def _seconds_from(said: Any, _: float, __: float) -> float:
    return finite(said)


def _lasts(seconds: float) -> Callable[[Any, float], float]:
    return lambda _, __: seconds


_CHALLENGE = Kind(str, text, lambda answer, _: answer, lambda said, _, __: text(said), _lasts(_HOUR))

KINDS = {
    "quotas": Kind(lambda registry: registry.name, _registry, _quota_to, _quota_from, _lasts(6 * _HOUR)),
    "limits": Kind(_limited_to, _limited_from, _limit_to, _limit_from, lambda limit, now: min(_DAY, limit.until - now)),
    "limited repositories": Kind(
        _limited_to,
        _limited_from,
        _paths_to,
        _paths_from,
        lambda paths, now: min(_DAY, max(paths.values(), default=now) - now),
    ),
    "outages": Kind(
        _host_to,
        _host_from,
        _outage_to,
        _outage_from,
        lambda outage, now: min(_HOUR, outage.until - now),
        is_hearsay=True,
    ),
    "slow hosts": Kind(_host_to, _host_from, lambda seconds, _: seconds, _seconds_from, _lasts(_HOUR)),
    "resting endpoints": Kind(list, _texts(2), lambda noted, ahead: noted - ahead, _past, _lasts(REST_SECONDS)),
    "blamed endpoints": Kind(list, _texts(3), lambda noted, ahead: noted - ahead, _past, _lasts(BLAME_SECONDS)),
    "http-01": _CHALLENGE,
    "tls-alpn-01": _CHALLENGE,
}
"""By what they are called in `Sharing.records`."""
