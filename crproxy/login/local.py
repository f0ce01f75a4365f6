"""Logins of this proxy's own: the users of the htpasswd file."""

from __future__ import annotations

from collections.abc import Mapping

from ..config import Config
from ..policy.authorizations import Bearer, Credentials
from .authentication import Admitted, Granted, Told, Visit, Wanted, tell_nobody
from .passwords import Passwords
from .signing import Claims, Signer
from .tokens import grant, read

__all__ = ["OwnDoor"]


class OwnDoor:
    """Lets users in (Door).

    Arguments:
        config: the one that counts for this request.
        users: names, and their passwords as bcrypt hashed them.
        passwords: checks them.
        signer: makes and reads tokens.
        told: whether credentials were right.
    """

    def __init__(
        self,
        config: Config,
        users: Mapping[str, bytes],
        passwords: Passwords,
        signer: Signer,
        told: Told = tell_nobody,
    ) -> None:
        self._config = config
        self._users = users
        self._passwords = passwords
        self._signer = signer
        self._told = told

    async def admit(self, visit: Visit, wanted: Wanted | None) -> Admitted:
        """Let a user in (Door)."""
        names = self._config.names
        match visit.said(names, wanted):
            case Bearer(token):
                claims = read(self._signer, names, token, visit, wanted)
                if claims.registry is not None or claims.user not in self._users:
                    visit.refuse(names, wanted, f"there is no user {claims.user} here: log in again", "invalid_token")
                return Admitted(claims.user)
            case said:
                return Admitted(await self._known(said, visit, wanted))

    async def grant(self, visit: Visit, credentials: Credentials | None, repositories: frozenset[str]) -> Granted:
        """Give a user a token (Door)."""
        user = await self._known(credentials, visit, None)
        return grant(self._signer, self._config, Claims(user, visit.name, repositories))

    async def _known(self, credentials: Credentials | None, visit: Visit, wanted: Wanted | None) -> str:
        if credentials is None:
            visit.refuse(self._config.names, wanted, f"log in first: docker login {visit.address}")
        right = await self._passwords.are_right(self._users, credentials, visit.client)
        self._told(right)
        if not right:
            visit.refuse(self._config.names, wanted, "the username or the password is wrong")
        return credentials.username
