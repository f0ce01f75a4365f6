"""Which login counts at a host.

At one that stands for a registry with pass-through it is that registry's. Everywhere else it is that of the htpasswd
file, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from ..config import Config
from ..oci.errors import ErrorCode, RegistryError
from ..policy.authorizations import Credentials
from ..policy.clients import is_in
from ..policy.routing import place
from ..policy.scopes import Scope
from ..upstream.logins import Logins
from .authentication import AuthRequest, Identity, IssuedToken, Target
from .local import LocalLogin
from .pass_through import PassThroughLogin
from .passwords import Passwords
from .signing import Signer

__all__ = ["Login"]


class Authenticator(Protocol):
    """Lets clients in at a host."""

    async def authenticate(self, request: AuthRequest, target: Target | None) -> Identity:
        """Return who the client is; None is wanted by one that only looks whether a registry is here.

        Raises:
            RegistryError: UNAUTHORIZED, with a challenge, where it has to say who it is, or is not who it says; what an
                upstream answers that was asked.
        """

    async def issue_token(
        self, request: AuthRequest, credentials: Credentials | None, repositories: frozenset[str]
    ) -> IssuedToken:
        """Return a token for repositories, as they are named at this host. Raises as `authenticate` does."""


class NoLogin:
    """Lets everybody in (Authenticator)."""

    async def authenticate(self, request: AuthRequest, target: Target | None) -> Identity:
        """Let it in, whatever it says (Authenticator)."""
        return Identity()

    async def issue_token(
        self, request: AuthRequest, credentials: Credentials | None, repositories: frozenset[str]
    ) -> IssuedToken:
        """Say that nobody needs a token (Authenticator)."""
        raise RegistryError(ErrorCode.NAME_UNKNOWN, "nobody has to log in here: ask without a token")


class Login:
    """Lets clients in; ``right`` and ``wrong`` count the credentials that they brought.

    Arguments:
        current: returns the configuration that counts now.
        passwords: checks those of the htpasswd file.
        logins: asks upstreams about theirs.
        signer: makes and reads tokens.
        clock: the time.
        now: seconds since the epoch; the clock's by default.
    """

    def __init__(
        self,
        current: Callable[[], Config],
        passwords: Passwords,
        logins: Logins,
        signer: Signer,
        clock: IReactorTime,
        *,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._current = current
        self._passwords = passwords
        self._logins = logins
        self._signer = signer
        self._now = now or clock.seconds
        self.right = self.wrong = 0

    async def authenticate(self, request: AuthRequest, target: Target | None = None) -> Identity:
        """Return who the client is. Raises RegistryError: see Authenticator; 421 for a host that is not ours."""
        return await self._authenticator(request).authenticate(request, target)

    async def issue_token(
        self, request: AuthRequest, credentials: Credentials | None, scopes: tuple[Scope, ...]
    ) -> IssuedToken:
        """Return a token. Raises RegistryError, also: 404, none is needed; 421, the host is not ours."""
        return await self._authenticator(request).issue_token(
            request, credentials, frozenset(scope.name for scope in scopes)
        )

    def _authenticator(self, request: AuthRequest) -> Authenticator:
        config = self._current()
        alias = place(config.names, request.host)
        upstream = None if alias is None else config.upstream(alias)
        exempt = not config.clients.privileged_login and is_in(request.client, config.access.privileged)
        users = None if exempt else config.clients.users
        if upstream is not None and upstream.passthrough:
            now, closed = self._now(), users is not None
            return PassThroughLogin(
                config, upstream, self._logins, self._signer, now, closed=closed, on_credentials=self._count
            )
        if users is None:
            return NoLogin()
        return LocalLogin(config, users, self._passwords, self._signer, self._count)

    def _count(self, right: bool) -> None:
        if right:
            self.right += 1
        else:
            self.wrong += 1
