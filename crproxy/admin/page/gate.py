"""Who is let in to the operator's page, and which forms of theirs count."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from ...config import Config
from ...limits import Accounts
from ...limits.buckets import Bucket, Buckets
from ...login import AuthRequest, Login
from ...oci.errors import ErrorCode, RegistryError
from ...policy.authorizations import Credentials, basic_challenge, parse_authorization
from ...policy.clients import network_of
from ...policy.forms import form_token, is_form_token, is_from_here
from ...policy.routing import host_name, place
from ...sharing import Levels
from ...web.authentication import auth_request
from ...web.request import field_of, host_of, note_user

__all__ = ["Gate", "Operator", "check_origin", "wrong_logins"]

# Wrong logins that a client may have at once, and the seconds after which it may have another.
_WRONG, _SECONDS_EACH = 10, 30
# What a browser on this machine, or at the other end of ssh -L, writes. Another name that leads here is somebody else's
# page (DNS rebinding).
_OURSELVES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who was let in.

    Arguments:
        user: None where nobody has to log in.
        token: of the forms that they are shown.
    """

    user: str | None
    token: str = field(repr=False)


def wrong_logins(levels: Levels, clock: IReactorTime) -> Buckets:
    """Return what counts the wrong logins of each client, in all workers.

    Arguments:
        levels: where they are counted.
        clock: the time.
    """
    return Buckets(lambda name: Bucket(levels.level(name), clock, lambda: 1 / _SECONDS_EACH))


class Gate:
    """Lets operators in.

    Arguments:
        current: returns the configuration that counts now.
        login: knows users.
        accounts: what clients have used of what they may.
        wrong: has the wrong logins of each client (`wrong_logins`).
        key: what only the daemon, or the fleet, knows.
        is_own: it is an endpoint of the page's own, which only this machine reaches.
    """

    def __init__(
        self,
        current: Callable[[], Config],
        login: Login,
        accounts: Accounts,
        wrong: Buckets,
        key: bytes,
        *,
        is_own: bool = False,
    ) -> None:
        self._current = current
        self._login = login
        self._accounts = accounts
        self._wrong = wrong
        self._key = key
        self._is_own = is_own

    async def admit(self, request: Request) -> Operator:
        """Return who asks.

        Raises:
            RegistryError: 404 where nobody is let in; 421 for a host that is not ours; 403 in the clear; 401, with a
                challenge; TOOMANYREQUESTS after too many wrong logins.
        """
        config = self._current()
        auth = auth_request(request, () if self._is_own else config.listen.trusted_proxies)
        if self._is_own:
            _check_own_host(auth)
        else:
            _check_network(config, auth, request)
        if not config.clients.admins:
            return Operator(None, form_token(self._key, None))
        self._accounts.check_request(auth.client)
        user = await self._user(config, auth)
        note_user(request, user)
        return Operator(user, form_token(self._key, user, (config.clients.users or {}).get(user, b"")))

    def lets_in(self, operator: Operator) -> bool:
        """Tell whether somebody is let in still whom `admit` has let in, by the configuration of now."""
        clients = self._current().clients
        if operator.user is None:
            return self._is_own and not clients.admins
        hashed = (clients.users or {}).get(operator.user, b"")
        return operator.user in clients.admins and operator.token == form_token(self._key, operator.user, hashed)

    def check_form(self, request: Request, operator: Operator, given: str) -> None:
        """Raise RegistryError (403) where a form was not sent from the page that ``operator`` was shown."""
        check_origin(request)
        if not is_form_token(given, operator.token):
            raise RegistryError(ErrorCode.DENIED, "this form is not of a page that you were shown: load it again")

    async def _user(self, config: Config, auth: AuthRequest) -> str:
        try:
            said = parse_authorization(auth.authorization)
        except ValueError as error:
            raise _refusal(str(error)) from None
        if not isinstance(said, Credentials):
            raise _refusal("log in as one of the admins")
        wrong = self._wrong.get("" if auth.client is None else network_of(auth.client))
        held = wrong.content
        if held > _WRONG - 1:
            wait = math.ceil((held - _WRONG + 1) * _SECONDS_EACH)
            raise RegistryError(
                ErrorCode.TOOMANYREQUESTS, f"too many wrong logins: try again in {wait} s", retry_after=wait
            )
        if not await self._login.is_user(said, auth.client):
            wrong.add(1.0)
            raise _refusal("the username or the password is wrong")
        if said.username not in config.clients.admins:
            raise _refusal("this user is none of the admins")
        return said.username


def check_origin(request: Request) -> None:
    """Raise RegistryError (403) for what another site's page makes a browser ask."""
    origin, site = field_of(request, b"origin"), field_of(request, b"sec-fetch-site")
    if not is_from_here(host_of(request), origin, site):
        raise RegistryError(ErrorCode.DENIED, "another site's page has asked for this")


def _check_own_host(auth: AuthRequest) -> None:
    if host_name(auth.host) not in _OURSELVES:
        raise RegistryError(ErrorCode.DENIED, "open this page as localhost", status=421)


def _check_network(config: Config, auth: AuthRequest, request: Request) -> None:
    alias = place(config.names, auth.host)
    if alias is not None or not config.clients.admins:
        raise RegistryError(ErrorCode.NAME_UNKNOWN, "there is nothing here")
    is_direct = not request.requestHeaders.hasHeader(b"x-forwarded-for")
    if not auth.secure and not (is_direct and _is_loopback(auth.client)):
        raise RegistryError(ErrorCode.DENIED, "passwords are not taken in the clear: open this page by https")


def _is_loopback(client: str | None) -> bool:
    if client is None:
        return True
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False


def _refusal(why: str) -> RegistryError:
    return RegistryError(ErrorCode.UNAUTHORIZED, why, challenge=basic_challenge())
