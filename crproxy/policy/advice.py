"""What an operator does about a line of the log, as far as its words tell.

Pure. The answer is a key: texts are the page's, in its languages.
"""

from __future__ import annotations

import enum
import re

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


# The first that is found counts.
_WORDS = (
    (Advice.DISK_FULL, r"no space left|no room for it|disk is full|larger than the cache|quota exceeded on disk"),
    (
        Advice.DISK,
        r"read-only file system|permission denied|input/output error|not kept|cannot be opened",
    ),
    (Advice.DAMAGE, r"damaged|wrong bytes|digest"),
    (Advice.FLEET, r"valkey|object store|other nodes?\b|fleet"),
    (Advice.QUOTA, r"\b429\b|too many requests|rate limit|toomanyrequests|quota"),
    (Advice.CERTIFICATE, r"certificate|\bacme\b|\bca\b|tls|handshake"),
    (Advice.LOGIN, r"unauthorized|\b401\b|\b403\b|password|credentials|log ?in"),
    (Advice.CONFIGURATION, r"configuration|\[\w+\]|htpasswd"),
    (Advice.UPSTREAM, r"\b50[0-9]\b|timed out|took too long|refused|is down|no answer|unreachable|dns|look(?:ed)? up"),
)
_PATTERNS = tuple((advice, re.compile(words, re.IGNORECASE)) for advice, words in _WORDS)


def advice_for(text: str) -> Advice:
    """Return what to do about a line that says ``text``."""
    return next((advice for advice, pattern in _PATTERNS if pattern.search(text)), Advice.OTHER)
