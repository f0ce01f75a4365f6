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
from .authentication import Admitted, Granted, Visit, Wanted
from .local import OwnDoor
from .pass_through import UpstreamDoor
from .passwords import Passwords
from .signing import Signer

__all__ = ["Login"]


class Door(Protocol):
    """Lets clients in at a host."""

    async def admit(self, visit: Visit, wanted: Wanted | None) -> Admitted:
        """Return who the client is; None is wanted by one that only looks whether a registry is here.

        Raises:
            RegistryError: UNAUTHORIZED, with a challenge, where it has to say who it is, or is not who it says; what an
                upstream answers that was asked.
        """

    async def grant(self, visit: Visit, credentials: Credentials | None, repositories: frozenset[str]) -> Granted:
        """Return a token for repositories, as they are named at this host. Raises RegistryError as `admit` does."""


class OpenDoor:
    """Lets everybody in (Door)."""

    async def admit(self, visit: Visit, wanted: Wanted | None) -> Admitted:
        """Let it in, whatever it says (Door)."""
        return Admitted()

    async def grant(self, visit: Visit, credentials: Credentials | None, repositories: frozenset[str]) -> Granted:
        """Say that nobody needs a token (Door)."""
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

    async def admit(self, visit: Visit, wanted: Wanted | None = None) -> Admitted:
        """Return who the client is. Raises RegistryError: see Door; 421 for a host that is not ours."""
        return await self._door(visit).admit(visit, wanted)

    async def grant(self, visit: Visit, credentials: Credentials | None, scopes: tuple[Scope, ...]) -> Granted:
        """Return a token. Raises RegistryError: see Door; 404 where none is needed, 421 for a host that is not ours."""
        return await self._door(visit).grant(visit, credentials, frozenset(scope.name for scope in scopes))

    def _door(self, visit: Visit) -> Door:
        config = self._current()
        alias = place(config.names, visit.host)
        upstream = None if alias is None else config.upstream(alias)
        exempt = not config.clients.privileged_login and is_in(visit.client, config.access.privileged)
        users = None if exempt else config.clients.users
        if upstream is not None and upstream.passthrough:
            now, closed = self._now(), users is not None
            return UpstreamDoor(config, upstream, self._logins, self._signer, now, closed=closed, told=self._count)
        if users is None:
            return OpenDoor()
        return OwnDoor(config, users, self._passwords, self._signer, self._count)

    def _count(self, right: bool) -> None:
        if right:
            self.right += 1
        else:
            self.wrong += 1
