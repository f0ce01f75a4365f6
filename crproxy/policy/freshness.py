"""May what is kept be served, and what does upstream's answer change?

The cache's rules about time, as pure functions. RFC 9111, 4.2 (freshness) and RFC 5861 (stale-if-error).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..oci.errors import ErrorCode, RegistryError
from .refusals import Unconfirmed
from .units import format_age

__all__ = ["Freshness", "Lifetimes", "freshness", "may_serve_stale", "permission_counts", "warning", "warning_field"]


class Freshness(enum.Enum):
    """What a tag that is known here is worth."""

    FRESH = enum.auto()
    STALE = enum.auto()


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what upstream said counts, and how long it may think, in seconds.

    Arguments:
        tag_ttl: a tag, without asking upstream.
        stale_if_error: where upstream cannot be asked.
        permission_ttl: a permission that a registry gave to the proxy's own credentials.
        patience: upstream, where something is kept that could be served.
    """

    tag_ttl: float = 60.0
    stale_if_error: float = 30 * 86400.0
    permission_ttl: float = 3600.0
    patience: float = 2.0


def freshness(checked: float, now: float, lifetimes: Lifetimes) -> Freshness:
    """Return what a tag is worth that upstream confirmed at ``checked`` (both in seconds since the epoch).

    A time in the future is what a clock set back leaves behind: it counts as stale.
    """
    return Freshness.FRESH if 0 <= now - checked < lifetimes.tag_ttl else Freshness.STALE


def permission_counts(confirmed: float, now: float, lifetimes: Lifetimes) -> bool:
    """Tell whether a permission counts without asking that a registry confirmed at ``confirmed`` for a credential.

    Both in seconds since the epoch. A time in the future is what a clock set back leaves behind: it does not count.
    """
    return 0 <= now - confirmed < lifetimes.permission_ttl


def may_serve_stale(error: RegistryError, *, age: float, anonymous: bool, lifetimes: Lifetimes) -> bool:
    """Tell whether a kept tag is served though upstream answered with ``error``.

    Arguments:
        age: seconds since upstream confirmed it.
        anonymous: it was first fetched without credentials, so nobody's right to it can have been revoked.
    """
    if age > lifetimes.stale_if_error:
        return False
    if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.TOOMANYREQUESTS) or isinstance(error, Unconfirmed):
        return True
    return error.code is ErrorCode.DENIED and anonymous


def warning(why: str, age: float) -> str:
    """Return the Warning field (RFC 7234, 5.5; containerd shows it to its user) of an answer served stale.

    Arguments:
        why: upstream was not asked, or could not be.
        age: seconds since it was.
    """
    return warning_field(f"served from the cache, last checked {format_age(age)} ago: {why}")


def warning_field(text: str) -> str:
    """Return the value of a Warning field (RFC 7234, 5.5) that says ``text``, in ASCII."""
    quotable = "".join(character if " " <= character <= "~" else "?" for character in text)
    quoted = quotable.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 crproxy "{quoted}"'
