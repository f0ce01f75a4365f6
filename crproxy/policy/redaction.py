"""What must not be written down, taken out of what is: credentials, tokens, signed URLs, and what could forge a line.

Two ways. Of a request's target only the parameters that are known to be harmless keep their values; a text that
somebody else wrote, such as an upstream's complaint, loses what looks like a secret. Both rather take out too much.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

__all__ = ["REDACTED", "escaped", "redacted", "redacted_target"]

REDACTED = "***"

# What the distribution specification gives to a query. Any other value may be a signature, or an upstream's _state, and
# is nobody's business.
_HARMLESS = frozenset({"n", "last", "ns", "artifactType"})
_HARMLESS_VALUE = re.compile(rb"[A-Za-z0-9._:/+\[\]-]*")
_PARAMETER = re.compile(r"[A-Za-z0-9._-]{1,64}")

_NAMES = r"[\w.-]*(?:token|passw(?:or)?d|secret|sig|signature|_state|credentials?|api_?key|hmac)"

# Each takes a run of characters whole, whether there is a secret in it or not: what comes from outside is read once.
_AFTER_SLASHES = re.compile(r"(?<=//)[^\s\"<>]+")
_QUERY = re.compile(r"(?<=\?)[^\s\"'<>]+")
_SEGMENT = re.compile(r"[^\s/\"']+")
_AUTHORIZATION = re.compile(r"((?i:authorization)[\"']?\s*[:=]\s*[\"']?)[^\r\n\"']+")
# A scheme and what goes with it (RFC 9110, 11.4), but not a word of English after "basic".
_SCHEME = re.compile(r"\b((?i:bearer|basic))\s+(?=\S*[0-9A-Z._=])[^\s\"',;]{4,}")
_NAMED = re.compile(rf"(?i)(?<![\w.-])({_NAMES})(\s*=\s*|%3D|[\"']\s*:\s*)[\"']?[^\s&;,/\"']+")
# A JSON Web Token (RFC 7519), wherever it is.
_JWT = re.compile(r"(?<![\w.-])eyJ[\w-]{5,}\.[\w.-]+")
_DIGESTS = ("sha256:", "sha512:")
# A text with none of these, in lower case, has nothing that a rule could find; that is most, and told in a microsecond.
_MARKS = ("@", "?", "=", "%3d", "'", '"', "authorization", "bearer", "basic", "eyj")

_UNPRINTABLE = re.compile(r"[^ -~]|[\\\"]")


def redacted(text: str) -> str:
    """Return ``text`` without what looks like userinfo, a URL's query, an Authorization or a token."""
    lower = text.lower()
    if not any(mark in lower for mark in _MARKS):
        return text
    text = _AFTER_SLASHES.sub(_url, text)
    text = _QUERY.sub(_query, text)
    text = _SEGMENT.sub(_segment, text)
    text = _AUTHORIZATION.sub(rf"\1{REDACTED}", text)
    text = _SCHEME.sub(rf"\1 {REDACTED}", text)
    text = _NAMED.sub(rf"\1\2{REDACTED}", text)
    return _JWT.sub(REDACTED, text)


def _url(run: re.Match[str]) -> str:
    """A URL from its authority on: userinfo may hold any character, and a query is a signature often enough."""
    userinfo, at, rest = run[0].rpartition("@")
    path, mark, query = (rest if at else userinfo + rest).partition("?")
    # A quote at its end is the text's, not the URL's.
    end = "'" if query.endswith("'") else ""
    return f"{REDACTED + at if at else ''}{path}{mark and mark + REDACTED + end}"


def _query(run: re.Match[str]) -> str:
    """The query of a URL without a host."""
    return REDACTED if "=" in run[0] else run[0]


def _segment(run: re.Match[str]) -> str:
    """Userinfo without a scheme in front; a tag may stand in front of a digest, as in name:tag@sha256:..."""
    userinfo, _, rest = run[0].rpartition("@")
    return f"{REDACTED}@{rest}" if ":" in userinfo and not rest.startswith(_DIGESTS) else run[0]


def redacted_target(target: str) -> str:
    """Return a request's target (RFC 9112, 3.2) with the values of its harmless parameters alone."""
    path, mark, query = target.partition("?")
    path = redacted(path)
    return f"{path}?{'&'.join(map(_parameter, query.split('&')))}" if mark else path


def escaped(text: str) -> str:
    """Return ``text`` so that it stays inside of double quotes and on its line, as Apache's logs have it."""
    return _UNPRINTABLE.sub(_escape, text)


def _parameter(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if name in _HARMLESS and _HARMLESS_VALUE.fullmatch(unquote_to_bytes(value)):
        return pair
    if not equals or not _PARAMETER.fullmatch(name):
        return REDACTED if pair else ""
    return f"{name}={REDACTED}"


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in '\\"':
        return f"\\{character}"
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
