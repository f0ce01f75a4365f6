"""Logins of this proxy's own: the users of the htpasswd file."""

from __future__ import annotations

from collections.abc import Mapping

from ..config import Config
from ..policy.authorizations import Bearer, Credentials
from .authentication import AuthRequest, Identity, IssuedToken, OnCredentials, Target, ignore_credentials
from .passwords import Passwords
from .signing import Claims, Signer
from .tokens import issue, read

__all__ = ["LocalLogin"]


class LocalLogin:
    """Lets users in (Authenticator).

    Arguments:
        config: the one that counts for this request.
        users: names, and their passwords as bcrypt hashed them.
        passwords: checks them.
        signer: makes and reads tokens.
        on_credentials: whether credentials were right.
    """

    def __init__(
        self,
        config: Config,
        users: Mapping[str, bytes],
        passwords: Passwords,
        signer: Signer,
        on_credentials: OnCredentials = ignore_credentials,
    ) -> None:
        self._config = config
        self._users = users
        self._passwords = passwords
        self._signer = signer
        self._on_credentials = on_credentials

    async def authenticate(self, request: AuthRequest, target: Target | None) -> Identity:
        """Let a user in (Authenticator)."""
        names = self._config.names
        match request.said(names, target):
            case Bearer(token):
                claims = read(self._signer, names, token, request, target)
                if claims.registry is not None or claims.user not in self._users:
                    request.refuse(names, target, f"there is no user {claims.user} here: log in again", "invalid_token")
                return Identity(claims.user)
            case said:
                return Identity(await self._known(said, request, target))

    async def issue_token(
        self, request: AuthRequest, credentials: Credentials | None, repositories: frozenset[str]
    ) -> IssuedToken:
        """Give a user a token (Authenticator)."""
        user = await self._known(credentials, request, None)
        return issue(self._signer, self._config, Claims(user, request.name, repositories))

    async def _known(self, credentials: Credentials | None, request: AuthRequest, target: Target | None) -> str:
        if credentials is None:
            request.refuse(self._config.names, target, f"log in first: docker login {request.address}")
        right = await self._passwords.are_right(self._users, credentials, request.client)
        self._on_credentials(right)
        if not right:
            request.refuse(self._config.names, target, "the username or the password is wrong")
        return credentials.username
