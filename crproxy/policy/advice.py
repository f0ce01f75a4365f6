"""What an operator does about a line of the log, as far as its words tell.

Pure. The answer is a key: texts are the page's, in its languages.
"""

from __future__ import annotations

import enum

__all__ = ["Advice", "advice_for"]


class Advice(enum.StrEnum):
    """What to do."""

    DISK_FULL = "disk_full"
    DISK = "disk"
    DAMAGE = "damage"
    QUOTA = "quota"
    LOGIN = "login"
    CERTIFICATE = "certificate"
    UPSTREAM = "upstream"
    CONFIGURATION = "configuration"
    FLEET = "fleet"
    OTHER = "other"


# What is said in lower case; the first that is found counts.
_WORDS = (
    (Advice.DISK_FULL, ("no space left", "no room for it", "disk is full", "larger than the cache")),
    (Advice.DISK, ("read-only file system", "permission denied", "input/output error", "not kept", "cannot be opened")),
    (Advice.DAMAGE, ("damaged", "wrong bytes", "digest")),
    (Advice.FLEET, ("valkey", "object store", "other node", "fleet")),
    (Advice.QUOTA, (" 429", "too many requests", "rate limit", "toomanyrequests", "quota")),
    (Advice.CERTIFICATE, ("certificate", "acme", "the ca ", "tls", "handshake")),
    (Advice.LOGIN, ("unauthorized", " 401", " 403", "password", "credentials", "log in", "login")),
    (Advice.CONFIGURATION, ("configuration", "htpasswd")),
    (
        Advice.UPSTREAM,
        (" 500", " 502", " 503", " 504", "timed out", "took too long", "refused", "is down", "not available", "dns"),
    ),
)


def advice_for(text: str) -> Advice:
    """Return what to do about a line that says ``text``."""
    lower = text.lower()
    return next((advice for advice, words in _WORDS if any(word in lower for word in words)), Advice.OTHER)
