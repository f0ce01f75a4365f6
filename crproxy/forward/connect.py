"""CONNECT (RFC 9110, 9.3.6): who may have what, and what speaks on the connection then."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from .. import __version__
from ..limits.accepting import address_of
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry
from ..policy.access import Access
from ..policy.connecting import Answered, HostPattern, NotATarget, Refused, Target, Verdict, parse_target, verdict
from ..policy.redaction import escaped
from ..policy.request_ids import with_id
from ..web.request import field_of, id_of, note_user
from .switching import ConnectChannel, Switch

__all__ = ["ConnectResource", "Granted", "Grants", "Settings"]

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_CHALLENGE = 'Basic realm="crproxy", charset="UTF-8"'
_ADVICE = "this is an HTTP proxy for registries: set HTTPS_PROXY to it, and ask for https:// URLs"
# The least status of what is no client's fault (RFC 9110, 15.6).
_FAULT = 500
# What a reason phrase takes (RFC 9112, 4): Go's clients show nothing else of a refusal.
_NOT_A_PHRASE = re.compile(r"[^ -~]")

# Checks a Proxy-Authorization of a client at some address; returns the user, None where nobody has to log in.
UserOf = Callable[[str | None, str | None], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be asked for.

    Arguments:
        registries: answered here.
        tunnels: passed through.
        access: what of the registries is served, and to whom.
    """

    registries: Collection[Registry] = frozenset()
    tunnels: Collection[HostPattern] = ()
    access: Access = field(default_factory=Access)


class Granted(Protocol):
    """What a client asked for and gets."""

    def begin(self, switch: Switch) -> None:
        """Speak on its connection from here on; nothing of it was read that came after CONNECT."""

    def abandon(self) -> None:
        """Let go of it: the client has left."""


class Grants(Protocol):
    """Makes what is granted."""

    async def registry(self, host: str, registry: Registry, user: str | None) -> Granted:
        """Return what answers in the place of a registry."""

    async def tunnel(self, target: Target, request: Request) -> Granted:
        """Return a connection to a host. Raises RegistryError: it cannot be connected to."""


@dataclass(slots=True)
class _Refusal(Exception):
    status: int
    why: str
    fields: dict[str, str] = field(default_factory=dict)


class ConnectResource(Resource):
    """Answers every request of a proxy's client.

    Arguments:
        settings: returns those that count now.
        user_of: checks logins.
        grants: makes what is granted.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, settings: Callable[[], Settings], user_of: UserOf, grants: Grants) -> None:
        super().__init__()
        self._settings = settings
        self._user_of = user_of
        self._grants = grants

    def render(self, request: Request) -> int:
        """Answer (IResource)."""
        answered = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _: answered.cancel())
        answered.addErrback(self._broke, request)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        try:
            target = _target(request)
            user = await self._user(request)
            note_user(request, user)
            granted = await self._granted(target, request, user)
        except _Refusal as refusal:
            self._refuse(request, refusal)
            return
        if request._disconnected:
            granted.abandon()
        else:
            _switch(request, granted, self._log)

    async def _user(self, request: Request) -> str | None:
        client = address_of(request.getClientAddress())
        try:
            return await self._user_of(field_of(request, b"proxy-authorization"), client)
        except RegistryError as error:
            if error.code is ErrorCode.UNAUTHORIZED:
                raise _Refusal(407, error.message, {"Proxy-Authenticate": _CHALLENGE}) from None
            raise _Refusal(error.status, error.message, error.headers()) from None

    async def _granted(self, target: Target, request: Request, user: str | None) -> Granted:
        settings = self._settings()
        found: Verdict = verdict(target, settings.registries, settings.tunnels)
        if isinstance(found, Refused):
            raise _Refusal(403, found.why)
        try:
            if isinstance(found, Answered):
                settings.access.check_registry(found.registry, address_of(request.getClientAddress()))
                return await self._grants.registry(target.host, found.registry, user)
            return await self._grants.tunnel(target, request)
        except RegistryError as error:
            raise _Refusal(error.status, error.message) from None

    def _refuse(self, request: Request, refusal: _Refusal) -> None:
        if request._disconnected:
            return
        # It may have in it what the client has said, and is shown to people.
        why, request_id = _NOT_A_PHRASE.sub("?", refusal.why), id_of(request)
        tell = self._log.warn if refusal.status >= _FAULT else self._log.info
        tell("CONNECT {target}: {why}", target=_shown(request), why=why, request_id=request_id)
        why = with_id(why, request_id)
        request.setResponseCode(refusal.status, why.encode("ascii"))
        body = f"{why}\n".encode("ascii")
        fields = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), **refusal.fields}
        # By which crproxy doctor knows that it is us who listen there.
        fields["Server"] = f"crproxy/{__version__}"
        for name, value in fields.items():
            request.setHeader(name, value)
        request.write(body)
        request.finish()

    def _broke(self, failure: Failure, request: Request) -> None:
        if failure.check(CancelledError) and request._disconnected:
            return
        self._log.failure("CONNECT {target}", failure, target=_shown(request), request_id=id_of(request))
        if not request.startedWriting:
            self._refuse(request, _Refusal(500, "crproxy itself failed; its log says why"))


def _target(request: Request) -> Target:
    """Return what is asked for, or raise _Refusal."""
    if request.method != b"CONNECT":
        raise _Refusal(405, _ADVICE, {"Allow": "CONNECT"})
    if request.requestHeaders.hasHeader(b"content-length") or request.requestHeaders.hasHeader(b"transfer-encoding"):
        # "A CONNECT request message does not have content. The interpretation of data sent after the header section of
        # the CONNECT request message is specific to the version of HTTP in use" (RFC 9110, 9.3.6).
        raise _Refusal(400, "CONNECT has no content")
    try:
        return parse_target(request.uri.decode("latin-1"))
    except NotATarget as error:
        raise _Refusal(400, str(error)) from None


def _switch(request: Request, granted: Granted, log: Logger) -> None:
    """Tell the client that it is connected, and let go of HTTP."""
    channel = request.channel
    assert isinstance(channel, ConnectChannel)  # noqa: S101 - as `Switching` says
    switch = channel.switch
    request.code, request.startedWriting = 200, 1
    unread = switch.detach()
    if unread or not switch.is_connected:
        log.info("CONNECT {target}: the client spoke before it was answered", target=_shown(request))
        granted.abandon()
        switch.transport.abortConnection()
        return
    switch.transport.write(_ESTABLISHED)
    try:
        granted.begin(switch)
    except Exception:
        # Nobody speaks on it, or waits for it to end.
        granted.abandon()
        switch.transport.abortConnection()
        raise


def _shown(request: Request) -> str:
    return escaped(request.uri.decode("latin-1"))[:300]
