"""What an upstream's ``WWW-Authenticate`` asks for, and whether its realm may have our credentials.

RFC 9110, 11.6.1 (challenges); RFC 6750 and the distribution project's token specification (Bearer).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from publicsuffixlist import PublicSuffixList

from .addresses import is_address
from .fields import FIELD_LIMIT, read_quoted
from .urls import origin_of

__all__ = [
    "Challenge",
    "TokenRequest",
    "by_preference",
    "may_have_credentials",
    "parse_challenges",
    "realm_is_sound",
    "token_request",
]

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TOKEN = re.compile(_NAME)
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_SCHEME = re.compile(rf"({_NAME})(?=[ \t,]|$)")
_TOKEN68 = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_SEPARATOR = re.compile(r"[ \t,]*")


@functools.cache
def _suffixes() -> PublicSuffixList:
    """Return the public suffix list, which takes a tenth of a second to read: at the first credentials, not before."""
    return PublicSuffixList(accept_unknown=True)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: its scheme in lower case and its parameters, names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Where a token is to be had, and for what: what tokens are kept by."""

    realm: str
    service: str
    scope: str

    @property
    def url(self) -> str:
        """The URL to GET."""
        pairs = (("service", self.service), ("scope", self.scope))
        query = urlencode([(name, value) for name, value in pairs if value])
        joint = "&" if "?" in self.realm else "?"
        return f"{self.realm}{joint}{query}" if query else self.realm


def parse_challenges(values: list[str]) -> list[Challenge]:
    """Return the challenges in the ``WWW-Authenticate`` field lines of one answer.

    A comma parts parameters as well as challenges (RFC 9110, 11.6.1 warns of it), so several in one line are read by
    what follows each. What cannot be read ends that line; what came before it counts.
    """
    return [challenge for value in _of_sane_length(values) for challenge in _read_line(value)]


def _of_sane_length(values: list[str]) -> Iterator[str]:
    """Give the lines up to where they are too long together for fields that mean well."""
    left = FIELD_LIMIT
    for value in values:
        left -= len(value)
        if left < 0:
            return
        yield value


def _read_line(value: str) -> Iterator[Challenge]:
    at = _skip(value, 0)
    while scheme := _SCHEME.match(value, at):
        # Only a comma tells a token68 from the next challenge's scheme.
        token68 = _TOKEN68.match(value, scheme.end())
        parameters, at = _read_parameters(value, _skip(value, (token68 or scheme).end()))
        yield Challenge(scheme[1].lower(), parameters)


def _read_parameters(value: str, at: int) -> tuple[dict[str, str], int]:
    parameters: dict[str, str] = {}
    while (name := _TOKEN.match(value, at)) and (equals := _EQUALS.match(value, name.end())):
        read = _read_value(value, equals.end())
        if read is None:
            break
        text, end = read
        parameters.setdefault(name[0].lower(), text)
        at = _skip(value, end)
    return parameters, at


def _read_value(value: str, at: int) -> tuple[str, int] | None:
    if value.startswith('"', at):
        return read_quoted(value, at)
    plain = _TOKEN.match(value, at)
    return None if plain is None else (plain[0], plain.end())


def _skip(value: str, at: int) -> int:
    separator = _SEPARATOR.match(value, at)
    return separator.end() if separator else at


def by_preference(challenges: list[Challenge]) -> list[Challenge]:
    """Return them with Bearer in front: where there is a token service, a password alone may be refused."""
    return sorted(challenges, key=lambda challenge: challenge.scheme != "bearer")


def token_request(challenge: Challenge, default_scope: str) -> TokenRequest | None:
    """Return the token request that a Bearer challenge asks for; None where it has no realm.

    Arguments:
        default_scope: where the challenge names none (some registries do not for ``/v2/``).
    """
    realm = challenge.parameters.get("realm")
    if not realm:
        return None
    scope = challenge.parameters.get("scope") or default_scope
    return TokenRequest(realm, challenge.parameters.get("service", ""), scope)


def realm_is_sound(realm: str, *, allow_http: bool) -> bool:
    """Tell whether a token may be asked for at ``realm``: an absolute URL, https, nothing in front of the host."""
    origin = origin_of(realm)
    return origin is not None and (allow_http or origin.scheme == "https") and "#" not in realm


def may_have_credentials(realm: str, endpoint: str, listed: frozenset[str] = frozenset()) -> bool:
    """Tell whether the token service at ``realm`` may see the credentials for the registry at ``endpoint`` (both URLs).

    It is the same host, or one under the same registrable domain, as auth.docker.io is for registry-1.docker.io, or one
    of ``listed``. Any other could be an attacker's (CVE-2026-33540, CVE-2026-48978). An https registry's credentials
    never go over http.
    """
    theirs, ours = origin_of(realm), origin_of(endpoint)
    if theirs is None or ours is None or (ours.scheme == "https" and theirs.scheme != "https"):
        return False
    if theirs.host == ours.host or theirs.host in listed:
        return True
    if is_address(theirs.host) or is_address(ours.host):
        return False
    domain = _suffixes().privatesuffix(theirs.host)
    return domain is not None and domain == _suffixes().privatesuffix(ours.host)
