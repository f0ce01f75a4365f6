"""What a client says of who it is, and what it is told where that does not do.

RFC 7617 (Basic), RFC 6750 (Bearer), and the distribution project's token specification ("How to authenticate").
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

__all__ = ["Bearer", "Credentials", "basic_challenge", "bearer_challenge", "parse_authorization"]

_REALM = "crproxy"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that somebody carries."""

    token: str = field(repr=False)


def parse_authorization(value: str | None) -> Credentials | Bearer | None:
    """Return what an ``Authorization`` field says; None where there is none.

    Raises:
        ValueError: it is of a kind that is not known here, or broken. The text does not repeat it.
    """
    scheme, _, rest = (value or "").strip().partition(" ")
    match scheme.lower():
        case "":
            return None
        case "bearer" if rest.strip():
            return Bearer(rest.strip())
        case "basic":
            return _parse_basic(rest.strip())
    raise ValueError("log in with a username and a password, or with a token")


def _parse_basic(encoded: str) -> Credentials | None:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        raise ValueError("the username and password are not in Base64 and UTF-8 (RFC 7617, 2)") from None
    username, colon, password = decoded.partition(":")
    if not colon or "\0" in decoded:
        raise ValueError("there is no colon between a username and a password (RFC 7617, 2)")
    # What some clients send that have been given neither.
    return Credentials(username, password) if username or password else None


def basic_challenge() -> str:
    """Return the challenge for a name and a password."""
    return f'Basic realm="{_REALM}", charset="UTF-8"'


def bearer_challenge(
    realm: str, service: str, scope: str | None = None, error: str | None = None, description: str | None = None
) -> str:
    """Return the challenge for a token.

    Arguments:
        realm: the URL where it is to be had.
        service: whom it is for.
        scope: what it must be good for.
        error: what is wrong with the one that was sent (RFC 6750, 3.1).
        description: the same in words, which is what some clients show, and nothing of the answer's body.
    """
    words = None if description is None else "".join(map(_in_description, description))
    pairs = (("realm", realm), ("service", service), ("scope", scope), ("error", error), ("error_description", words))
    return "Bearer " + ",".join(f'{name}="{value}"' for name, value in pairs if value)


def _in_description(character: str) -> str:
    """Return what stands for a character: "MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E"
    (RFC 6750, 3)."""
    if character == '"':
        return "'"
    return character if " " <= character <= "~" and character != "\\" else "?"
