"""Knocking at a door: one GET of ``/v2/``, and who answered.

Sends nothing secret, so whatever certificate is shown will do: it is looked at afterwards.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass
from typing import Any

from twisted.internet import error
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from ... import __version__
from ...policy.endpoints import Endpoint
from ...policy.urls import origin_of
from ...upstream.errors import TRANSPORT_ERRORS, describe, innermost
from ...upstream.fields import field_of
from ...upstream.relay import abandon
from .environment import SECONDS
from .tls_probe import Onlooker, Shown

__all__ = ["Knocked", "authority_of", "door_of", "knock", "moment"]


@dataclass(frozen=True, slots=True)
class Knocked:
    """What came of a knock.

    Arguments:
        why: what went wrong; empty where there was an answer.
        connected: somebody is there at all.
        refused: nobody listens there.
        status: HTTP's.
        server: what it says that it is.
        date: its time, in seconds since the epoch.
        seconds: it took so long.
        shown: its certificate, where it got as far as that.
    """

    why: str = ""
    connected: bool = True
    refused: bool = False
    status: int | None = None
    server: str = ""
    date: float | None = None
    seconds: float = 0.0
    shown: Shown | None = None

    @property
    def is_crproxy(self) -> bool:
        """Tell whether it is a crproxy that answered."""
        return self.server.startswith("crproxy/")

    @property
    def who(self) -> str:
        """Who answered, for people."""
        return self.server or "something that does not say what it is"


def door_of(endpoint: Endpoint, reactor: Any) -> IStreamClientEndpoint | None:
    """Return what connects to where this machine listens; None where that cannot be told, such as systemd's sockets."""
    if endpoint.kind == "unix":
        return UNIXClientEndpoint(reactor, endpoint.path, timeout=SECONDS)
    return HostnameEndpoint(reactor, endpoint.host, endpoint.port, timeout=SECONDS) if endpoint.port else None


def authority_of(name: str, port: int, scheme: str) -> str:
    """Return a URL's host and port as they are written: without the scheme's own port."""
    host = f"[{name}]" if ":" in name else name
    return host if port == {"https": 443, "http": 80}[scheme] else f"{host}:{port}"


async def knock(reactor: Any, door: IStreamClientEndpoint, url: str, authorities: str | None = None) -> Knocked:
    """Ask for ``url`` at ``door``, wherever that leads, and return what came of it.

    Arguments:
        authorities: whom a certificate is to be vouched for by, in PEM, in place of the system's.
    """
    origin = origin_of(url)
    onlooker = Onlooker(origin.host if origin is not None else "", authorities)
    if url.startswith("https://"):
        door = wrapClientTLS(onlooker, door)
    agent = Agent.usingEndpointFactory(reactor, _Always(door))
    began = reactor.seconds()
    headers = Headers({"User-Agent": [f"crproxy-doctor/{__version__}"]})
    try:
        response: IResponse = await agent.request(b"GET", url.encode("ascii"), headers).addTimeout(SECONDS, reactor)
    except TRANSPORT_ERRORS as failure:
        return _missed(failure, onlooker.shown)
    abandon(response)
    field = field_of(response, b"server") or ""
    return Knocked(
        status=response.code,
        server=field,
        date=moment(field_of(response, b"date") or ""),
        seconds=reactor.seconds() - began,
        shown=onlooker.shown,
    )


def moment(date: str) -> float | None:
    """Return a Date (RFC 9110, 6.6.1) as seconds since the epoch; None where it is none."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _missed(failure: BaseException, shown: Shown | None) -> Knocked:
    root = innermost(failure)
    # Twisted tells so of sockets that are not there, and of names that are not known.
    connected = not isinstance(root, error.ConnectError | error.DNSLookupError)
    return Knocked(describe(failure), connected, isinstance(root, error.ConnectionRefusedError), shown=shown)


@implementer(IAgentEndpointFactory)
class _Always:
    """Connects to the same door, whatever is asked for."""

    def __init__(self, door: IStreamClientEndpoint) -> None:
        self._door = door

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the door (IAgentEndpointFactory)."""
        return self._door
