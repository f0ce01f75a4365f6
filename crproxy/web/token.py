"""``/token``: where clients log in, and get a token for what they pull.

The distribution project's token specification ("Requesting a Token"), and its OAuth2 form ("POST").
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from urllib.parse import parse_qs

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import Request

from ..config import Config
from ..limits import Accounts
from ..limits.current_client import ask_for
from ..login import AuthRequest, IssuedToken, Login
from ..oci.errors import ErrorCode, RegistryError
from ..policy.authorizations import Credentials, basic_challenge, parse_authorization
from ..policy.scopes import parse_scopes
from ..pullthrough import Content, Reply
from .answering import answer
from .authentication import auth_request
from .request import note_user

__all__ = ["TokenResource"]

# Of a form: credentials, and scopes.
_LONGEST = 16 * 1024
_FIELDS = 32


class TokenResource(Resource):
    """Gives tokens.

    Arguments:
        current: returns the configuration that counts now.
        login: knows who gets one.
        accounts: what clients have used of what they may.
        clock: the time.
        now: seconds since the epoch, of which answers tell; the clock's by default.
    """

    isLeaf = True

    def __init__(
        self,
        current: Callable[[], Config],
        login: Login,
        accounts: Accounts,
        clock: IReactorTime,
        *,
        now: Callable[[], float] | None = None,
    ) -> None:
        super().__init__()
        self._current = current
        self._login = login
        self._accounts = accounts
        self._now = now or clock.seconds

    def render(self, request: Request) -> int:
        """Answer a request of any method."""
        return answer(request, self._reply(request))

    async def _reply(self, request: Request) -> Reply:
        auth = auth_request(request, self._current().listen.trusted_proxies)
        ask_for(auth.client)
        self._accounts.check_request(auth.client)
        fields, credentials = _asked(request, auth)
        issued = await self._login.issue_token(auth, credentials, parse_scopes(fields.get("scope", [])))
        if credentials is not None:
            note_user(request, credentials.username)
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return Reply(200, headers, Content(_document(issued, self._now())))


def _asked(request: Request, auth: AuthRequest) -> tuple[dict[str, list[str]], Credentials | None]:
    match request.method:
        case b"GET" | b"HEAD":
            fields = _fields(request.uri.partition(b"?")[2])
            return fields, _credentials(auth)
        case b"POST":
            body = b"" if request.content is None else request.content.read(_LONGEST + 1)
            if len(body) > _LONGEST:
                raise RegistryError(ErrorCode.UNSUPPORTED, f"a form has {_LONGEST} bytes at the most", status=413)
            fields = _fields(body)
            return fields, _form_credentials(fields)
    request.setHeader("Allow", "GET, POST")
    raise RegistryError(ErrorCode.UNSUPPORTED, "a token is had by GET or POST")


def _fields(text: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(text.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise RegistryError(ErrorCode.UNSUPPORTED, "this is no form", status=400) from None


def _credentials(auth: AuthRequest) -> Credentials | None:
    try:
        said = parse_authorization(auth.authorization)
    except ValueError as error:
        # "... MUST send a WWW-Authenticate header field" (RFC 9110, 15.5.2).
        raise RegistryError(ErrorCode.UNAUTHORIZED, str(error), challenge=basic_challenge()) from None
    return said if isinstance(said, Credentials) else None


def _form_credentials(fields: dict[str, list[str]]) -> Credentials:
    (grant_type, *_), (username, *_), (password, *_) = (
        fields.get(name, [""]) for name in ("grant_type", "username", "password")
    )
    if grant_type != "password" or not username:
        # containerd asks again by GET then.
        raise RegistryError(
            ErrorCode.UNSUPPORTED, "only grant_type=password is known here, with a username and a password", status=400
        )
    return Credentials(username, password)


def _document(issued: IssuedToken, now: float) -> bytes:
    """Return the answer: "token" for Docker, "access_token" for OAuth2's clients."""
    issued_at = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(
        {
            "token": issued.token,
            "access_token": issued.token,
            "expires_in": issued.lifetime,
            "issued_at": issued_at,
        }
    ).encode()
