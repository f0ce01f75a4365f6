"""``/v2/``: the registry that clients see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl

from twisted.web.resource import Resource
from twisted.web.server import Request

from ..config import Config
from ..limits import Accounts
from ..limits.current_client import ask_as, ask_for
from ..login import AuthRequest, Identity, Login, Target
from ..oci.errors import ErrorCode, RegistryError
from ..oci.routes import Ping, TagsRequest, parse_path
from ..policy.routing import Route, route
from ..policy.rules import NO_RULE, Subject
from ..pullthrough import Asked, Content, PullThrough, Reply
from .answering import answer
from .authentication import auth_request
from .request import note, note_user

__all__ = ["RegistryResource"]

# Queries are short: n, last, ns, artifactType.
_QUERY_FIELDS = 16


class RegistryResource(Resource):
    """Everything below ``/v2``.

    Arguments:
        current: returns the configuration that counts now.
        login: lets clients in.
        pullthrough: answers requests for images.
        accounts: what clients have used of what they may.
    """

    isLeaf = True

    def __init__(
        self, current: Callable[[], Config], login: Login, pullthrough: PullThrough, accounts: Accounts
    ) -> None:
        super().__init__()
        self._current = current
        self._login = login
        self._pullthrough = pullthrough
        self._accounts = accounts

    def render(self, request: Request) -> int:
        """Answer a request of any method."""
        return answer(request, self._limited(request))

    async def _limited(self, request: Request) -> Reply:
        auth = auth_request(request, self._current().listen.trusted_proxies)
        ask_for(auth.client)
        self._accounts.check_request(auth.client)
        reply = await self._reply(request, auth)
        body = self._accounts.transfer(reply.body, auth.client)
        return reply if body is reply.body else replace(reply, body=body, lasting=None)

    async def _reply(self, request: Request, auth: AuthRequest) -> Reply:
        _only_reading(request)
        wanted = parse_path(request.path.decode("latin-1"))
        asked, config = _asked(request, auth.client), self._current()
        if isinstance(wanted, Ping):
            note_user(request, (await self._login.authenticate(auth)).user)
            return Reply(200, {"Content-Type": "application/json"}, Content(b"{}"))
        ns = asked.query.get("ns")
        found = route(config.names, auth.host, wanted.name, ns)
        note(request, found.repository, wanted)
        if found.namespace is not None:
            request.setHeader("OCI-Namespace", found.namespace)
        identity = await self._login.authenticate(auth, Target(found.repository, wanted.name, ns))
        note_user(request, identity.user)
        ask_as(identity.user)
        config.access.check(found.repository, auth.client)
        decision = config.decide(Subject(found.repository, auth.client, identity.user))
        if isinstance(wanted, TagsRequest) and not config.access.tags:
            return _no_tags(wanted.name)
        try:
            if identity.authorization is not None:
                asked = replace(asked, caller=identity.authorization)
            if decision != NO_RULE:
                asked = replace(asked, decision=decision)
            reply = await self._pullthrough.answer(found.repository, wanted, asked)
        except RegistryError as error:
            raise _with_advice(error, found, identity) from error
        is_anybodys = auth.authorization is None and identity == Identity()
        return reply if is_anybodys else replace(reply, lasting=None)


def _no_tags(name: str) -> Reply:
    """Return a list that is empty ("Listing Tags"), so that clients need not know that there is none."""
    document = json.dumps({"name": name, "tags": []}).encode()
    return Reply(200, {"Content-Type": "application/json"}, Content(document))


def _with_advice(error: RegistryError, found: Route, identity: Identity) -> RegistryError:
    """Return ``error`` with what was perhaps meant, and with a challenge where a login may help."""
    if error.status == 403 and identity.challenge is not None:
        error = RegistryError(ErrorCode.UNAUTHORIZED, error.message, challenge=identity.challenge)
    if found.hint is None or error.status not in (401, 403, 404):
        return error
    return error.with_hint(found.hint)


def _only_reading(request: Request) -> None:
    if request.method not in (b"GET", b"HEAD"):
        request.setHeader("Allow", "GET, HEAD")
        raise RegistryError(ErrorCode.UNSUPPORTED, "this proxy only pulls: push to the upstream registry itself")


def _asked(request: Request, client: str | None) -> Asked:
    return Asked(
        method=request.method.decode("ascii"),
        path=request.path.decode("latin-1"),
        headers={
            name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        },
        query=_query(request),
        client=client,
    )


def _query(request: Request) -> dict[str, str]:
    _, _, query = request.uri.partition(b"?")
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_QUERY_FIELDS)
    except ValueError:
        raise RegistryError(
            ErrorCode.UNSUPPORTED, f"a query has {_QUERY_FIELDS} parameters at the most", status=400
        ) from None
    return dict(pairs)
