"""Logins that are a registry's: clients bring their own credentials for it, and it says what those are good for."""

from __future__ import annotations

from typing import Never

from ..config import Config, Upstream
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Repository
from ..policy.authorizations import Bearer, Credentials
from ..policy.refusals import unavailable
from ..policy.routing import route
from ..policy.scopes import Scope
from ..upstream.logins import Logins
from ..upstream.tokens import Token
from .authentication import AuthRequest, Identity, IssuedToken, OnCredentials, Target, ignore_credentials
from .signing import Claims, Signer
from .tokens import issue, read

__all__ = ["PassThroughLogin"]


class PassThroughLogin:
    """Lets in whom an upstream knows, and everybody to what it gives to everybody (Authenticator).

    Arguments:
        config: the one that counts for this request.
        upstream: the one that the host stands for.
        logins: asks it.
        signer: makes and reads tokens.
        now: seconds since the epoch.
        closed: nobody is served here who did not log in.
        on_credentials: whether credentials were right.
    """

    def __init__(
        self,
        config: Config,
        upstream: Upstream,
        logins: Logins,
        signer: Signer,
        now: float,
        *,
        closed: bool,
        on_credentials: OnCredentials = ignore_credentials,
    ) -> None:
        self._config = config
        self._upstream = upstream
        self._logins = logins
        self._signer = signer
        self._now = now
        self._closed = closed
        self._on_credentials = on_credentials

    async def authenticate(self, request: AuthRequest, target: Target | None) -> Identity:
        """Let a client in (Authenticator)."""
        match request.said(self._config.names, target):
            case Bearer(carried):
                return self._carrier(carried, request, target)
            case Credentials() as credentials:
                token = await self._log_in(credentials, () if target is None else (target.repository,), request, target)
                return Identity(credentials.username, None if token is None else token.authorization)
        # Docker learns only from /v2/ that there is a login; all else may be public.
        if target is None or self._closed:
            self._refuse(request, target)
        return Identity(challenge=request.challenge(self._config.names, target))

    async def issue_token(
        self, request: AuthRequest, credentials: Credentials | None, repositories: frozenset[str]
    ) -> IssuedToken:
        """Give a client a token that holds what its credentials are good for (Authenticator)."""
        if credentials is None:
            if self._closed:
                self._refuse(request, None)
            return self._granted(Claims("", request.name, repositories, str(self._upstream.registry)))
        token = await self._log_in(credentials, self._meant(request, repositories), request, None)
        authorization = None if token is None else token.authorization
        registry = str(self._upstream.registry)
        claims = Claims(credentials.username, request.name, repositories, registry, authorization)
        return self._granted(claims, None if token is None else token.expires - self._now)

    def _meant(self, request: AuthRequest, names: frozenset[str]) -> tuple[Repository, ...]:
        # A client that repeats the registry in its paths does so here as well, where it cannot say ns=.
        ns = str(self._upstream.registry)
        return tuple(sorted({route(self._config.names, request.host, name, ns).repository for name in names}))

    def _carrier(self, token: str, request: AuthRequest, target: Target | None) -> Identity:
        claims = read(self._signer, self._config.names, token, request, target)
        if claims.registry != str(self._upstream.registry):
            request.refuse(self._config.names, target, "this token is for another registry", "invalid_token")
        # What upstream never gave stands for nobody: it may have been given while everybody was served.
        if self._closed and not (claims.user and claims.authorization):
            self._refuse(request, target)
        return Identity(claims.user or None, claims.authorization)

    async def _log_in(
        self,
        credentials: Credentials,
        repositories: tuple[Repository, ...],
        request: AuthRequest,
        target: Target | None,
    ) -> Token | None:
        if self._closed and not credentials.username:
            # Token services may take it for no login, and give a token for what is public.
            self._refuse(request, target)
        scope = " ".join(str(Scope(repository.path)) for repository in repositories)
        try:
            token = await self._logins.log_in(self._upstream, credentials, scope)
        except RegistryError as error:
            if error.code is not ErrorCode.UNAUTHORIZED:
                raise
            self._on_credentials(False)
            request.refuse(self._config.names, target, error.message)
        if token is not None:
            self._on_credentials(True)
        if token is None and self._closed:
            request.refuse(
                self._config.names, target, f"{self._upstream.registry} has no login, so it vouches for nobody"
            )
        return token

    def _granted(self, claims: Claims, lifetime: float | None = None) -> IssuedToken:
        try:
            return issue(self._signer, self._config, claims, lifetime)
        except ValueError as error:
            raise unavailable(self._upstream.registry, f"its token cannot be handed on: {error}") from error

    def _refuse(self, request: AuthRequest, target: Target | None) -> Never:
        request.refuse(self._config.names, target, f"log in with your own credentials of {self._upstream.registry}")
