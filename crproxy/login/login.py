"""Which login counts at a host.

At one that stands for a registry with pass-through it is that registry's. Everywhere else it is that of the htpasswd
file, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from ..config import Config
from ..oci.errors import ErrorCode, RegistryError
from ..policy.authorizations import Credentials, parse_authorization
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


@dataclass(slots=True)
class _Tried:
    """Credentials that clients brought."""

    right: int = 0
    wrong: int = 0


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
        self._tried = _Tried()

    @property
    def right(self) -> int:
        """How many were."""
        return self._tried.right

    @property
    def wrong(self) -> int:
        """How many were."""
        return self._tried.wrong

    def by(self, current: Callable[[], Config]) -> Login:
        """Return one that goes by another configuration, and counts with this one."""
        other = copy(self)
        other._current = current
        return other

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

    async def user_of(self, authorization: str | None, client: str | None) -> str | None:
        """Return which user of the htpasswd file a client is that says so to this proxy as a proxy.

        Arguments:
            authorization: its Proxy-Authorization (RFC 9110, 11.7.2).
            client: its IP address, where that is known.

        Returns:
            None where nobody has to log in.

        Raises:
            RegistryError: UNAUTHORIZED where it does not say so, or is wrong; TOOMANYREQUESTS.
        """
        users = self._users(client)
        if users is None:
            return None
        try:
            said = parse_authorization(authorization)
        except ValueError as error:
            raise RegistryError(ErrorCode.UNAUTHORIZED, str(error)) from None
        if not isinstance(said, Credentials):
            raise RegistryError(ErrorCode.UNAUTHORIZED, "log in: put USERNAME:PASSWORD@ into the proxy's URL")
        right = await self._passwords.are_right(users, said, client)
        self._count(right)
        if not right:
            raise RegistryError(ErrorCode.UNAUTHORIZED, "the username or the password is wrong")
        return said.username

    async def is_user(self, said: Credentials, client: str | None) -> bool:
        """Tell whether these are the credentials of a user of the htpasswd file, wherever ``client`` asks from.

        Raises:
            RegistryError: TOOMANYREQUESTS while too many of this client's are being checked.
        """
        users = self._current().clients.users
        if not users:
            return False
        right = await self._passwords.are_right(users, said, client)
        self._count(right)
        return right

    def lets_in(self, user: str | None, client: str | None) -> bool:
        """Tell whether a client is let in still whom `user_of` has let in as ``user``, by the configuration of now."""
        users = self._users(client)
        return users is None or user in users

    def _users(self, client: str | None) -> Mapping[str, bytes] | None:
        """Return who may log in; None where ``client`` need not."""
        config = self._current()
        exempt = not config.clients.privileged_login and is_in(client, config.access.privileged)
        return None if exempt else config.clients.users

    def _authenticator(self, request: AuthRequest) -> Authenticator:
        config = self._current()
        alias = place(config.names, request.host)
        upstream = None if alias is None else config.upstream(alias)
        users = self._users(request.client)
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
            self._tried.right += 1
        else:
            self._tried.wrong += 1
