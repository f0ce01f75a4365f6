"""``/v2/``: the registry that clients see."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from urllib.parse import parse_qsl

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from .. import __version__
from ..config import Config
from ..oci.errors import ErrorCode, RegistryError
from ..oci.routes import Ping, parse_path
from ..policy.redaction import escaped, redacted
from ..policy.routing import place, route
from ..pullthrough import Asked, Content, PullThrough, Reply
from .request import note
from .sending import send

__all__ = ["RegistryResource"]

# Queries are short: n, last, ns, artifactType.
_QUERY_FIELDS = 16


class RegistryResource(Resource):
    """Everything below ``/v2``.

    Arguments:
        current: returns the configuration that counts now.
        pullthrough: answers requests for images.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, current: Callable[[], Config], pullthrough: PullThrough) -> None:
        super().__init__()
        self._current = current
        self._pullthrough = pullthrough

    def render(self, request: Request) -> int:
        """Answer a request of any method."""
        answered = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _: answered.cancel())
        answered.addErrback(self._broke, request)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        request.setHeader("Server", f"crproxy/{__version__}")
        request.setHeader("Docker-Distribution-Api-Version", "registry/2.0")
        try:
            reply = await self._reply(request)
        except RegistryError as error:
            self._log.info("{path}: {error}", path=_path(request), error=redacted(str(error)))
            reply = Reply.error(error)
        await send(request, reply)

    async def _reply(self, request: Request) -> Reply:
        _only_reading(request)
        wanted = parse_path(request.path.decode("latin-1"))
        asked = _asked(request)
        config, host = self._current(), asked.headers.get("host", "")
        if isinstance(wanted, Ping):
            place(config.names, host)
            return Reply(200, {"Content-Type": "application/json"}, Content(b"{}"))
        found = route(config.names, host, wanted.name, asked.query.get("ns"))
        note(request, found.repository, wanted)
        if found.namespace is not None:
            request.setHeader("OCI-Namespace", found.namespace)
        config.access.check(found.repository, _client(request))
        try:
            return await self._pullthrough.answer(found.repository, wanted, asked)
        except RegistryError as error:
            if found.hint is None or error.status not in (403, 404):
                raise
            raise error.with_hint(found.hint) from error

    def _broke(self, failure: Failure, request: Request) -> None:
        """End a request whose answer cannot be finished."""
        if request._disconnected:
            failure.trap(CancelledError)
            return
        path = _path(request)
        if request.startedWriting:
            self._log.warn("{path}: aborted: {why}", path=path, why=redacted(failure.getErrorMessage()))
            cast(ITCPTransport, request.transport).abortConnection()
        else:
            self._log.failure("{path}", failure, path=path)
            error = RegistryError(ErrorCode.UNAVAILABLE, "crproxy itself failed; its log says why", status=500)
            Deferred.fromCoroutine(send(request, Reply.error(error)))


def _path(request: Request) -> str:
    """Return the path as the log may have it."""
    return escaped(redacted(request.path.decode("latin-1")))


def _client(request: Request) -> str | None:
    """Return the client's IP address; None where it comes by a socket of this machine."""
    address = request.getClientAddress()
    return address.host if isinstance(address, IPv4Address | IPv6Address) else None


def _only_reading(request: Request) -> None:
    if request.method not in (b"GET", b"HEAD"):
        request.setHeader("Allow", "GET, HEAD")
        raise RegistryError(ErrorCode.UNSUPPORTED, "this proxy only pulls: push to the upstream registry itself")


def _asked(request: Request) -> Asked:
    return Asked(
        method=request.method.decode("ascii"),
        path=request.path.decode("latin-1"),
        headers={
            name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        },
        query=_query(request),
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
