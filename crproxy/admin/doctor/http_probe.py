"""An HTTP probe: one GET of ``/v2/``, and who answered.

Sends nothing secret, so whatever certificate is shown will do: it is looked at afterwards.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass
from typing import Any

from OpenSSL import SSL
from twisted.internet import error
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from ... import __version__
from ...policy.endpoints import Endpoint
from ...policy.urls import origin_of
from ...upstream.agent import cancelled_as_such
from ...upstream.errors import TRANSPORT_ERRORS, describe, innermost
from ...upstream.fields import field_of
from ...upstream.relay import abandon
from .environment import CONNECT_SECONDS, SECONDS
from .tls_probe import CertificateRecorder, ShownCertificate

__all__ = ["Always", "ProbeResult", "client_endpoint", "host_and_port", "moment", "probe"]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What came of a probe.

    Arguments:
        why: what went wrong; empty where there was an answer.
        connected: somebody is there at all.
        refused: nobody listens there.
        status: HTTP's.
        server: what it says that it is.
        date: its time, in seconds since the epoch.
        seconds: it took so long.
        shown: its certificate, where it got as far as that.
        in_the_clear: TLS was asked for, and it speaks plain HTTP.
    """

    why: str = ""
    connected: bool = True
    refused: bool = False
    status: int | None = None
    server: str = ""
    date: float | None = None
    seconds: float = 0.0
    shown: ShownCertificate | None = None
    in_the_clear: bool = False

    @property
    def is_crproxy(self) -> bool:
        """Tell whether it is a crproxy that answered."""
        return self.server.startswith("crproxy/")

    @property
    def who(self) -> str:
        """Who answered, for people."""
        return self.server or "something that does not say what it is"


def client_endpoint(endpoint: Endpoint, reactor: Any) -> IStreamClientEndpoint | None:
    """Return what connects to where this machine listens; None where that cannot be told, such as systemd's sockets."""
    if endpoint.kind == "unix":
        return UNIXClientEndpoint(reactor, endpoint.path, timeout=CONNECT_SECONDS)
    return HostnameEndpoint(reactor, endpoint.host, endpoint.port, timeout=CONNECT_SECONDS) if endpoint.port else None


def host_and_port(name: str, port: int, scheme: str) -> str:
    """Return a URL's host and port as they are written: without the scheme's own port."""
    host = f"[{name}]" if ":" in name else name
    return host if port == {"https": 443, "http": 80}[scheme] else f"{host}:{port}"


async def probe(reactor: Any, endpoint: IStreamClientEndpoint, url: str, authorities: str | None = None) -> ProbeResult:
    """Ask for ``url`` at ``endpoint``, wherever that leads, and return what came of it.

    Arguments:
        authorities: whom a certificate is to be vouched for by, in PEM, in place of the system's.
    """
    origin = origin_of(url)
    recorder = CertificateRecorder(origin.host if origin is not None else "", authorities)
    if url.startswith("https://"):
        endpoint = wrapClientTLS(recorder, endpoint)
    agent = Agent.usingEndpointFactory(reactor, Always(endpoint))
    began = reactor.seconds()
    headers = Headers({"User-Agent": [f"crproxy-doctor/{__version__}"]})
    try:
        asked = cancelled_as_such(agent.request(b"GET", url.encode("ascii"), headers))
        response = await asked.addTimeout(SECONDS, reactor)
    except (*TRANSPORT_ERRORS, SSL.Error) as failure:
        return _missed(failure, recorder.shown)
    abandon(response)
    field = field_of(response, b"server") or ""
    return ProbeResult(
        status=response.code,
        server=field,
        date=moment(field_of(response, b"date") or ""),
        seconds=reactor.seconds() - began,
        shown=recorder.shown,
    )


def moment(date: str) -> float | None:
    """Return a Date (RFC 9110, 6.6.1) as seconds since the epoch; None where it is none."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _missed(failure: BaseException, shown: ShownCertificate | None) -> ProbeResult:
    root = innermost(failure)
    # Twisted tells so of sockets that are not there, and of names that are not known.
    connected = not isinstance(root, error.ConnectError | error.DNSLookupError | error.TimeoutError)
    why = _openssl_reason(root) if isinstance(root, SSL.Error) else describe(failure)
    return ProbeResult(why, connected, isinstance(root, error.ConnectionRefusedError), shown=shown)


def _openssl_reason(failure: SSL.Error) -> str:
    queue = failure.args[0] if failure.args else None
    return f"TLS failed: {queue[0][-1] if isinstance(queue, list) and queue else 'no reason given'}"


@implementer(IAgentEndpointFactory)
class Always:
    """Connects to the same endpoint, whatever is asked for (IAgentEndpointFactory).

    Arguments:
        endpoint: where to.
    """

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return that endpoint (IAgentEndpointFactory)."""
        return self._endpoint
