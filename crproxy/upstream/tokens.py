"""Bearer tokens: discovered from the challenge, asked for once, kept until shortly before they expire.

The distribution project's token specification ("Requesting a Token"); RFC 6750.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IResponse

from ..config import Timeouts, Upstream
from ..oci.documents import NotJson, parse_json
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry
from ..policy.challenges import (
    Challenge,
    TokenRequest,
    by_preference,
    may_have_credentials,
    realm_is_sound,
    token_request,
)
from ..policy.redirects import REDIRECT_STATUSES, Redirect, RefusedRedirect, UnsoundRedirect, follow
from ..policy.refusals import Asker, parse_retry_after, refusal, unavailable
from ..policy.retries import RETRY_STATUSES
from ..policy.urls import origin_of
from ..sharing import Alone, Sharing
from .agent import send
from .availability import AlwaysUp, Watch
from .errors import TRANSPORT_ERRORS, RefusedAddress, RefusedByProxy, describe, innermost, is_ours
from .fields import field_of
from .relay import BodyBroke, BodyTooLarge, collect, discard
from .retrying import retry
from .single_flight import SingleFlight

if TYPE_CHECKING:
    from treq.client import HTTPClient

__all__ = ["Authorized", "Token", "Tokens", "basic"]

# A signed token with many scopes is a few KiB.
_TOKEN_ANSWER_LIMIT = 1024 * 1024
# "expires_in ... If omitted, this defaults to 60 seconds."
_USUAL_LIFETIME = 60.0
# "expires_in" is a number from outside, and JSON's numbers have no end.
_LONGEST_LIFETIME = 24 * 3600.0
# Ten thousand tokens are kept, of anybody's registries: with the longest answer each they would take 10 GiB. A server
# takes 8 KiB in one field by default (nginx, large_client_header_buffers; Apache httpd, LimitRequestFieldSize).
_LONGEST_TOKEN = 16 * 1024
# Of the URL that a token is had from, which is kept as long.
_LONGEST_REQUEST = 8 * 1024
# Seconds before its end at which a token is no longer used: clocks differ, and a request takes time.
_MARGIN = 5.0
# Whose token, at which endpoint, what for, and as whom: another endpoint of a registry is another host, which must not
# have what was got with the first one's login, even if it names the same token service.
_Key = tuple[Registry, str, TokenRequest, str | None]


@dataclass(frozen=True, slots=True)
class Token:
    """An Authorization, and when it ends to be good for anything (seconds since the epoch)."""

    authorization: str = field(repr=False)
    expires: float


@dataclass(frozen=True, slots=True)
class Authorized:
    """An Authorization, and the scheme of the challenge that it answers, in lower case."""

    scheme: str
    authorization: str = field(repr=False)


class Tokens:
    """The Authorization headers with which upstreams can be asked.

    Arguments:
        timeouts: of requests to token services.
        clock: the time.
        now: seconds since the epoch; the clock's by default.
        sharing: keeps them, for all workers.
        watch: knows which hosts need not be waited for.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        clock: IReactorTime,
        *,
        now: Callable[[], float] | None = None,
        sharing: Sharing | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch or AlwaysUp()
        sharing = sharing or Alone()
        self._timeouts = timeouts
        self._clock = clock
        self._now = now or clock.seconds
        self._fetches: SingleFlight[_Key, str] = SingleFlight()
        # By _Key, each a Token; by endpoint, scope and user name, each a _Key.
        self._tokens = sharing.records("tokens")
        self._remembered = sharing.records("scopes")
        # One worker asks for what all of them want.
        self._claims = None if sharing.is_alone else sharing.claims("tokens")

    def known(self, upstream: Upstream, scope: str, username: str | None) -> str | None:
        """Return the Authorization that served for ``scope`` before, while it is valid."""
        key: _Key | None = self._remembered.get((upstream.registry.name, upstream.endpoint, scope, username))
        return None if key is None else self._valid(key)

    async def authorize(
        self,
        http: HTTPClient,
        upstream: Upstream,
        challenges: list[Challenge],
        scope: str,
        *,
        anonymous: bool = False,
        rejected: str | None = None,
        tried: frozenset[str] = frozenset(),
    ) -> Authorized | None:
        """Return what answers one of ``challenges``, or None where none can be answered.

        Where a token service refuses, and a password would do as well, that is given.

        Arguments:
            scope: what is wanted, where the challenge does not say.
            anonymous: the upstream's own credentials must not be used: another host is asking.
            rejected: an Authorization that was refused just now: it is not given again.
            tried: schemes that were answered already, in vain.

        Raises:
            RegistryError: the token service refuses, or cannot be asked.
        """
        username = None if anonymous else upstream.username
        refused: RegistryError | None = None
        for challenge in by_preference(challenges):
            request = token_request(challenge, scope) if challenge.scheme == "bearer" else None
            if challenge.scheme in tried:
                continue
            if request is not None and refused is None and len(request.url) <= _LONGEST_REQUEST:
                key = (upstream.registry, upstream.endpoint, request, username)
                # Another host's token is no use to the registry itself, and none of its business.
                if not anonymous:
                    self._remember(scope, key)
                try:
                    return Authorized("bearer", await self._token(http, upstream, key, rejected))
                except RegistryError as error:
                    if error.code is not ErrorCode.DENIED:
                        raise
                    refused = error
            if challenge.scheme == "basic" and username is not None:
                return Authorized("basic", basic(username, upstream.password or ""))
        if refused is not None:
            raise refused
        return None

    def _remember(self, scope: str, key: _Key) -> None:
        registry, endpoint, _, username = key
        self._remembered.put((registry.name, endpoint, scope, username), key)

    def _valid(self, key: _Key) -> str | None:
        token: Token | None = self._tokens.get(key)
        return token.authorization if token is not None and token.expires > self._clock.seconds() else None

    async def _token(self, http: HTTPClient, upstream: Upstream, key: _Key, rejected: str | None) -> str:
        authorization = self._valid(key)
        if authorization is not None and authorization != rejected:
            return authorization
        return await self._fetches.run(key, lambda: self._fetch_once(http, upstream, key, rejected))

    async def _fetch_once(self, http: HTTPClient, upstream: Upstream, key: _Key, rejected: str | None) -> str:
        if self._claims is None:
            return await self._fetch(http, upstream, key)
        name = repr(key)
        others_had_it = await self._claims.take(name)
        try:
            authorization = self._valid(key) if others_had_it else None
            if authorization is not None and authorization != rejected:
                return authorization
            return await self._fetch(http, upstream, key)
        finally:
            self._claims.give_back(name)

    async def _fetch(self, http: HTTPClient, upstream: Upstream, key: _Key) -> str:
        _, _, request, username = key
        token = await self.fresh(http, upstream, request, username)
        self._tokens.put(key, token)
        return token.authorization

    async def fresh(
        self,
        http: HTTPClient,
        upstream: Upstream,
        request: TokenRequest,
        username: str | None,
        asker: Asker | None = None,
    ) -> Token:
        """Return a token asked for now, and kept by nobody.

        Arguments:
            username: None asks anonymously, else with the password of ``upstream``.
            asker: whose name it is; None is the proxy's, where there is one.

        Raises:
            RegistryError: the token service refuses, or cannot be asked.
        """
        headers = {} if username is None else {"Authorization": [basic(username, upstream.password or "")]}
        body = await self._ask(http, upstream, request, headers, username, asker or _asker(upstream))
        token, lifetime = _read_token(upstream, body)
        return Token(f"Bearer {token}", self._clock.seconds() + lifetime - _MARGIN)

    def _check_realm(self, upstream: Upstream, realm: str, username: str | None) -> None:
        if not realm_is_sound(realm, allow_http=upstream.allow_http):
            origin = origin_of(realm)
            where = "at something that is no https URL" if origin is None else f"{origin}, which is not https"
            raise RegistryError(ErrorCode.DENIED, f"{upstream.registry} is refused: its token service is {where}")
        if username is not None and not may_have_credentials(realm, upstream.endpoint, upstream.token_hosts):
            raise RegistryError(
                ErrorCode.DENIED,
                f"{upstream.registry} sends us to a token service of another domain, which is not given the "
                "credentials configured for it: if it may have them, whoever runs this proxy lists its host as "
                f'token_hosts under [upstreams."{upstream.registry}"]',
            )

    async def _ask(
        self,
        http: HTTPClient,
        upstream: Upstream,
        request: TokenRequest,
        headers: dict[str, list[str]],
        username: str | None,
        asker: Asker,
    ) -> bytes:
        url, followed = request.url, 0
        while True:
            self._check_realm(upstream, url, username)
            response, body = await self._ask_at(http, upstream, url, headers)
            if response.code not in REDIRECT_STATUSES:
                break
            redirect = _redirected(upstream, url, response, followed)
            if username is not None and not redirect.same_origin:
                _check_listed(upstream, redirect.url)
            url, followed = redirect.url, followed + 1
        if response.code != 200:
            raise self._refused(upstream, response, body, asker)
        return body

    async def _ask_at(
        self, http: HTTPClient, upstream: Upstream, url: str, headers: dict[str, list[str]]
    ) -> tuple[IResponse, bytes]:
        async def attempt() -> IResponse | Exception:
            try:
                response: IResponse = await send(http, "GET", url, headers, self._timeouts.headers, self._clock)
            except TRANSPORT_ERRORS as error:
                # Not tried again: a wrong password for a proxy, several times, locks accounts.
                if is_ours(error) or isinstance(innermost(error), RefusedAddress | RefusedByProxy):
                    raise
                return error
            self._watch.answered(upstream, url)
            return response

        def let_go(response: IResponse) -> None:
            discard(response, self._timeouts.idle, self._clock)

        async def ask() -> tuple[IResponse, bytes]:
            outcome = await retry(attempt, _passes, let_go, upstream.retries, self._timeouts.headers, self._clock)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome, await collect(outcome, _TOKEN_ANSWER_LIMIT, self._timeouts.idle, self._clock)

        try:
            return await self._watch.over(upstream, url, ask)
        except (*TRANSPORT_ERRORS, BodyBroke, BodyTooLarge) as error:
            if isinstance(innermost(error), RefusedAddress):
                raise RegistryError(
                    ErrorCode.DENIED,
                    f"{upstream.registry} is refused: its token service: {describe(error)}; if that is meant, list its "
                    f'host as private_hosts under [upstreams."{upstream.registry}"]',
                ) from error
            raise unavailable(upstream.registry, f"its token service: {describe(error)}") from error

    def _refused(self, upstream: Upstream, response: IResponse, body: bytes, asker: Asker) -> RegistryError:
        wait = parse_retry_after(field_of(response, b"retry-after"), self._now())
        what = "a token to pull with" if asker is Asker.ANYBODY else f"the login of {upstream.username!r}"
        error = refusal(upstream.registry, what, ErrorCode.DENIED, response.code, body, wait, asker=asker)
        if asker is Asker.CLIENT and response.code == 401:
            # A client that got its password wrong is to be told so, not that it may not.
            return RegistryError(ErrorCode.UNAUTHORIZED, error.message)
        return error


def _passes(response: IResponse) -> bool:
    return response.code in RETRY_STATUSES and field_of(response, b"retry-after") is None


def _check_listed(upstream: Upstream, url: str) -> None:
    """Raise RegistryError where credentials would follow a redirect to another origin that is not listed."""
    origin = origin_of(url)
    if origin is None or origin.host not in upstream.token_hosts:
        raise RegistryError(
            ErrorCode.DENIED,
            f"{upstream.registry} sends us by a redirect to {origin} for a token, which is not given the credentials "
            "configured for it: if it may have them, whoever runs this proxy lists its host as token_hosts under "
            f'[upstreams."{upstream.registry}"]',
        )


def _redirected(upstream: Upstream, url: str, response: IResponse, followed: int) -> Redirect:
    """Return where a token service sends us. Raises RegistryError where it must not be followed."""
    try:
        return follow(url, field_of(response, b"location"), followed=followed, allow_http=upstream.allow_http)
    except UnsoundRedirect as error:
        raise RegistryError(ErrorCode.DENIED, f"{upstream.registry} is refused: its token service: {error}") from error
    except RefusedRedirect as error:
        raise unavailable(upstream.registry, f"its token service: {error}") from error


def _asker(upstream: Upstream) -> Asker:
    return Asker.ANYBODY if upstream.username is None else Asker.PROXY


def basic(username: str, password: str) -> str:
    """Return the Authorization of RFC 7617; UTF-8, so any character may be in either."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _read_token(upstream: Upstream, body: bytes) -> tuple[str, float]:
    """Return the token and its lifetime in seconds.

    "token" is Docker's name, "access_token" OAuth2's; "expires_in" is optional.
    """
    try:
        answer = parse_json(body)
        token = answer.get("token") or answer.get("access_token")
        lifetime = float(answer.get("expires_in") or _USUAL_LIFETIME)
        if math.isnan(lifetime):
            raise ValueError("this lasts for no time that can be compared")
    except (NotJson, ValueError, TypeError, AttributeError, OverflowError):
        raise unavailable(upstream.registry, "its token service sent something that is no token") from None
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise unavailable(upstream.registry, "its token service sent an answer without a token")
    if len(token) > _LONGEST_TOKEN:
        raise unavailable(upstream.registry, f"its token service sent a token of more than {_LONGEST_TOKEN} bytes")
    return token, min(max(lifetime, 2 * _MARGIN), _LONGEST_LIFETIME)
