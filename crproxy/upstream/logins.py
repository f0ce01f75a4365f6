"""Clients' own credentials at an upstream, exchanged for what its registry takes: a token, or those credentials.

Nothing is kept: what was right a minute ago may have been revoked since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from ..config import Upstream
from ..oci.errors import ErrorCode, RegistryError
from ..policy.authorizations import Credentials
from ..policy.challenges import Challenge, token_request
from ..policy.refusals import Asker, unavailable
from .exchange import Exchange
from .tokens import Token, Tokens, basic

if TYPE_CHECKING:
    from treq.client import HTTPClient

__all__ = ["Logins"]

# Credentials do not end by themselves; a client sends them again after this many seconds.
_BASIC_LIFETIME = 300.0


class Logins:
    """Asks upstreams whether they know a client.

    Arguments:
        client: returns what reaches an upstream.
        exchange: asks for challenges.
        tokens: asks for tokens.
        clock: the time.
    """

    def __init__(
        self, client: Callable[[Upstream], HTTPClient], exchange: Exchange, tokens: Tokens, clock: IReactorTime
    ) -> None:
        self._client = client
        self._exchange = exchange
        self._tokens = tokens
        self._clock = clock

    async def log_in(self, upstream: Upstream, credentials: Credentials, scope: str) -> Token | None:
        """Return the Authorization that ``credentials`` give at ``upstream``; None where it wants none.

        Arguments:
            scope: what it is to be good for; empty where only the credentials are to be looked at.

        Raises:
            RegistryError: UNAUTHORIZED where it does not know them, DENIED where it knows and refuses them, UNAVAILABLE
                where it cannot be asked.
        """
        challenges = await self._exchange.challenges(upstream)
        if challenges is None:
            return None
        own = replace(upstream, username=credentials.username, password=credentials.password)
        return await self._answer(own, challenges, scope)

    async def _answer(self, own: Upstream, challenges: list[Challenge], scope: str) -> Token:
        for challenge in challenges:
            request = token_request(challenge, scope) if challenge.scheme == "bearer" else None
            if request is not None:
                asked = replace(request, scope=scope)
                return await self._tokens.fresh(self._client(own), own, asked, own.username, Asker.CLIENT)
            if challenge.scheme == "basic":
                return await self._check_basic(own)
        raise unavailable(own.registry, "it asks for a login of a kind that is not known here")

    async def _check_basic(self, own: Upstream) -> Token:
        authorization = basic(own.username or "", own.password or "")
        if await self._exchange.challenges(own, authorization) is not None:
            raise RegistryError(ErrorCode.UNAUTHORIZED, f"{own.registry} does not know this username and password")
        return Token(authorization, self._clock.seconds() + _BASIC_LIFETIME)
