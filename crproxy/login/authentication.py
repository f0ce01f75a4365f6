"""Authentication of a request: what a client says of itself, what it wants, and what it is told.

Values alone; knows nothing of who checks them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Never

from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Repository
from ..policy.authorizations import Bearer, Credentials, basic_challenge, bearer_challenge, parse_authorization
from ..policy.routing import Names, host_name
from ..policy.scopes import Scope

__all__ = [
    "TOKEN_PATH",
    "AuthRequest",
    "Identity",
    "IssuedToken",
    "OnCredentials",
    "Target",
    "ignore_credentials",
]

TOKEN_PATH = "/token"  # noqa: S105 - where tokens are had, not one

_PORT = re.compile(r":([1-9][0-9]{0,4})\Z")
_LAST_PORT = 65535

# Is told whether credentials that a client brought were right.
OnCredentials = Callable[[bool], object]


def ignore_credentials(right: bool) -> None:
    """Tell nobody (OnCredentials)."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a client wants to have.

    Arguments:
        repository: what is meant.
        name: how the client names it.
        ns: and the namespace that it names it by.
    """

    repository: Repository
    name: str
    ns: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A client that is let in.

    Arguments:
        user: its name; None where it did not log in.
        authorization: its own for the registry that it asks.
        challenge: how it may log in, where upstream does not serve it as nobody.
    """

    user: str | None = None
    authorization: str | None = field(default=None, repr=False)
    challenge: str | None = None


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, and the seconds that it lasts."""

    token: str = field(repr=False)
    lifetime: int


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """A request, as far as it matters who makes it.

    Arguments:
        host: its Host.
        authorization: its Authorization.
        client: its IP address, where that is known.
        secure: it comes by TLS.
    """

    host: str
    authorization: str | None = field(default=None, repr=False)
    client: str | None = None
    secure: bool = False

    @property
    def name(self) -> str:
        """The host that is asked: what tokens are for."""
        return host_name(self.host)

    @property
    def address(self) -> str:
        """The same with its port, as clients are told it."""
        port = _PORT.search(self.host)
        return self.name if port is None or int(port[1]) > _LAST_PORT else self.name + port[0]

    def said(self, names: Names, target: Target | None) -> Credentials | Bearer | None:
        """Return what the client says of itself. Raises RegistryError: UNAUTHORIZED for what cannot be read."""
        try:
            return parse_authorization(self.authorization)
        except ValueError as error:
            self.refuse(names, target, str(error))

    def challenge(
        self, names: Names, target: Target | None, error: str | None = None, description: str | None = None
    ) -> str:
        """Return how the client may log in.

        A token is had by a URL, which must be one of ours, and https: then the password is sent to that alone. Else it
        is asked for directly, which goes where the client has gone already.
        """
        if not self.secure or self.name not in names:
            return basic_challenge()
        realm = f"https://{self.address}{TOKEN_PATH}"
        scope = None if target is None else str(Scope(target.name))
        return bearer_challenge(realm, self.name, scope, error, description)

    def refuse(self, names: Names, target: Target | None, why: str, error: str | None = None) -> Never:
        """Raise UNAUTHORIZED with a challenge.

        Arguments:
            error: what is wrong with the token that was sent (RFC 6750, 3.1).
        """
        challenge = self.challenge(names, target, error, None if error is None else why)
        raise RegistryError(ErrorCode.UNAUTHORIZED, why, challenge=challenge)
