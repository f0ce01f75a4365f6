"""Tokens: claims that this proxy signed, and what it sealed into them.

JSON Web Tokens (RFC 7519), in the form of the distribution project's ("Docker Registry v2 Bearer token specification").
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from twisted.internet.interfaces import IReactorTime

from ..policy.scopes import Scope, pull_of

__all__ = ["BadToken", "Claims", "Signer"]

_ISSUER = "crproxy"
_ALGORITHM = "HS256"
_REQUIRED = ["iss", "sub", "aud", "exp"]
# Twisted takes 16 KiB for a line of a header, and clients send this back in one.
_LONGEST = 12 * 1024


class BadToken(Exception):
    """A token that is not ours, not for this host, or not good any more; the text says which."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    Arguments:
        user: the client's name, with us or with ``registry``; empty is somebody who did not log in.
        host: the one of our names that it was given for, and is good at.
        names: repositories that its bearer may pull from, as they are named at that host.
        registry: the one whose login it is, if it is not ours.
        authorization: what that registry takes from this client.
    """

    user: str
    host: str
    names: frozenset[str] = frozenset()
    registry: str | None = None
    authorization: str | None = field(default=None, repr=False)


class Signer:
    """Makes tokens, and reads them.

    Arguments:
        key: returns 64 bytes, of which the first half signs and the second seals. It is asked at the first token: a
            proxy where nobody logs in needs none.
        clock: the time.
        now: seconds since the epoch, which tokens tell; the clock's by default.
    """

    def __init__(
        self, key: Callable[[], bytes], clock: IReactorTime, *, now: Callable[[], float] | None = None
    ) -> None:
        self._load = key
        self._now = now or clock.seconds

    @cached_property
    def _halves(self) -> tuple[bytes, Fernet]:
        key = self._load()
        half = len(key) // 2
        return key[:half], Fernet(base64.urlsafe_b64encode(key[half:]))

    @property
    def _key(self) -> bytes:
        return self._halves[0]

    @property
    def _seal(self) -> Fernet:
        return self._halves[1]

    def sign(self, claims: Claims, lifetime: float) -> str:
        """Return a token that says ``claims`` for ``lifetime`` seconds.

        Raises:
            ValueError: it would be longer than a header may be.
        """
        now = int(self._now())
        said: dict[str, Any] = {
            "iss": _ISSUER,
            "sub": claims.user,
            "aud": claims.host,
            "iat": now,
            "nbf": now,
            "exp": now + int(lifetime),
            "jti": secrets.token_urlsafe(12),
            "access": [Scope(name).access() for name in sorted(claims.names)],
        }
        if claims.registry is not None:
            said["registry"] = claims.registry
        if claims.authorization is not None:
            said["sealed"] = self._seal.encrypt(claims.authorization.encode()).decode("ascii")
        import jwt

        token = jwt.encode(said, self._key, _ALGORITHM)
        if len(token) > _LONGEST:
            raise ValueError(f"a token of {len(token)} bytes, where {_LONGEST} are the most")
        return token

    def read(self, token: str, host: str) -> Claims:
        """Return what ``token`` says at ``host``. Raises BadToken."""
        # Most proxies have no tokens.
        import jwt

        try:
            # The library would look at a clock of its own.
            options: Any = {"require": _REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
            said = jwt.decode(token, self._key, algorithms=[_ALGORITHM], audience=host, issuer=_ISSUER, options=options)
        except jwt.InvalidAudienceError:
            raise BadToken("this token is for another host of this proxy") from None
        except (jwt.InvalidTokenError, RecursionError):
            raise BadToken("this is no token of this proxy") from None
        if not isinstance(said["exp"], int) or self._now() >= said["exp"]:
            raise BadToken("this token has expired")
        return Claims(said["sub"], host, pull_of(said.get("access")), said.get("registry"), self._opened(said))

    def _opened(self, said: dict[str, Any]) -> str | None:
        sealed = said.get("sealed")
        if sealed is None:
            return None
        try:
            return self._seal.decrypt(sealed).decode()
        except (InvalidToken, TypeError, ValueError):
            raise BadToken("this is no token of this proxy") from None
