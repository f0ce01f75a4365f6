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
from .authentication import Admitted, Granted, Told, Visit, Wanted, tell_nobody
from .signing import Claims, Signer
from .tokens import grant, read

__all__ = ["UpstreamDoor"]


class UpstreamDoor:
    """Lets in whom an upstream knows, and everybody to what it gives to everybody (Door).

    Arguments:
        config: the one that counts for this request.
        upstream: the one that the host stands for.
        logins: asks it.
        signer: makes and reads tokens.
        now: seconds since the epoch.
        closed: nobody is served here who did not log in.
        told: whether credentials were right.
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
        told: Told = tell_nobody,
    ) -> None:
        self._config = config
        self._upstream = upstream
        self._logins = logins
        self._signer = signer
        self._now = now
        self._closed = closed
        self._told = told

    async def admit(self, visit: Visit, wanted: Wanted | None) -> Admitted:
        """Let a client in (Door)."""
        match visit.said(self._config.names, wanted):
            case Bearer(carried):
                return self._carrier(carried, visit, wanted)
            case Credentials() as credentials:
                token = await self._log_in(credentials, () if wanted is None else (wanted.repository,), visit, wanted)
                return Admitted(credentials.username, None if token is None else token.authorization)
        # Docker learns only from /v2/ that there is a login; all else may be public.
        if wanted is None or self._closed:
            self._refuse(visit, wanted)
        return Admitted(challenge=visit.challenge(self._config.names, wanted))

    async def grant(self, visit: Visit, credentials: Credentials | None, repositories: frozenset[str]) -> Granted:
        """Give a client a token that holds what its credentials are good for (Door)."""
        if credentials is None:
            if self._closed:
                self._refuse(visit, None)
            return self._granted(Claims("", visit.name, repositories, str(self._upstream.registry)))
        token = await self._log_in(credentials, self._meant(visit, repositories), visit, None)
        authorization = None if token is None else token.authorization
        registry = str(self._upstream.registry)
        claims = Claims(credentials.username, visit.name, repositories, registry, authorization)
        return self._granted(claims, None if token is None else token.expires - self._now)

    def _meant(self, visit: Visit, names: frozenset[str]) -> tuple[Repository, ...]:
        # A client that repeats the registry in its paths does so here as well, where it cannot say ns=.
        ns = str(self._upstream.registry)
        return tuple(sorted({route(self._config.names, visit.host, name, ns).repository for name in names}))

    def _carrier(self, token: str, visit: Visit, wanted: Wanted | None) -> Admitted:
        claims = read(self._signer, self._config.names, token, visit, wanted)
        if claims.registry != str(self._upstream.registry):
            visit.refuse(self._config.names, wanted, "this token is for another registry", "invalid_token")
        # What upstream never gave stands for nobody: it may have been given while everybody was served.
        if self._closed and not (claims.user and claims.authorization):
            self._refuse(visit, wanted)
        return Admitted(claims.user or None, claims.authorization)

    async def _log_in(
        self, credentials: Credentials, repositories: tuple[Repository, ...], visit: Visit, wanted: Wanted | None
    ) -> Token | None:
        if self._closed and not credentials.username:
            # Token services may take it for no login, and give a token for what is public.
            self._refuse(visit, wanted)
        scope = " ".join(str(Scope(repository.path)) for repository in repositories)
        try:
            token = await self._logins.log_in(self._upstream, credentials, scope)
        except RegistryError as error:
            if error.code is not ErrorCode.UNAUTHORIZED:
                raise
            self._told(False)
            visit.refuse(self._config.names, wanted, error.message)
        if token is not None:
            self._told(True)
        if token is None and self._closed:
            visit.refuse(
                self._config.names, wanted, f"{self._upstream.registry} has no login, so it vouches for nobody"
            )
        return token

    def _granted(self, claims: Claims, lifetime: float | None = None) -> Granted:
        try:
            return grant(self._signer, self._config, claims, lifetime)
        except ValueError as error:
            raise unavailable(self._upstream.registry, f"its token cannot be handed on: {error}") from error

    def _refuse(self, visit: Visit, wanted: Wanted | None) -> Never:
        visit.refuse(self._config.names, wanted, f"log in with your own credentials of {self._upstream.registry}")
