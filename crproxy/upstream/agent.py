"""Connections to upstreams: pooled, addresses checked, bodies asked for as they are.

Knows sockets, TLS and HTTP framing; knows nothing of registries.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IReactorPluggableNameResolver,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from ..config import Timeouts, Upstream
from ..policy.addresses import is_public
from .errors import RefusedAddress, RefusedEncoding, innermost
from .relay import abandon

__all__ = ["CheckedReactor", "Clients", "IdentityAgent", "send", "treq_client"]

# Idle connections kept to one host, and for how many seconds: below the 60 s that many balancers allow.
_POOLED_PER_HOST = 64
_POOLED_SECONDS = 50

# Otherwise each connection writes two lines of its own to the log.
_HTTP11ClientFactory.noisy = False


class Clients:
    """The treq clients of one daemon: few, each over a pool of persistent connections."""

    def __init__(self, reactor: Any, timeouts: Timeouts) -> None:
        self._reactor = reactor
        self._timeouts = timeouts
        self._clients: dict[tuple[frozenset[str], bool], HTTPClient] = {}

    def client(self, upstream: Upstream) -> HTTPClient:
        """Return the treq client for ``upstream``."""
        kind = (upstream.private_hosts, upstream.keepalive)
        if kind not in self._clients:
            self._clients[kind] = self._make(*kind)
        return self._clients[kind]

    def _make(self, private_hosts: frozenset[str], keepalive: bool) -> HTTPClient:
        pool = HTTPConnectionPool(self._reactor, persistent=keepalive)
        pool.maxPersistentPerHost = _POOLED_PER_HOST
        pool.cachedConnectionTimeout = _POOLED_SECONDS
        endpoints = _Endpoints(self._reactor, self._timeouts.connect, private_hosts)
        return treq_client(Agent.usingEndpointFactory(self._reactor, endpoints, pool))


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """How a URL's host is connected to: only at public addresses, unless it is one of ``private_hosts``.

    The exception is for those hosts alone, not for where they redirect to or whose tokens they ask for.
    """

    def __init__(self, reactor: Any, seconds: float, private_hosts: frozenset[str]) -> None:
        self._reactor = reactor
        self._checked = CheckedReactor(reactor)
        self._seconds = seconds
        self._private_hosts = private_hosts
        self._policy = BrowserLikePolicyForHTTPS()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the endpoint to connect to (IAgentEndpointFactory)."""
        host = uri.host.decode("ascii")
        reactor = self._reactor if host in self._private_hosts else self._checked
        endpoint = HostnameEndpoint(reactor, host, uri.port, timeout=self._seconds)
        if uri.scheme == b"http":
            return endpoint
        return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)


def treq_client(agent: IAgent) -> HTTPClient:
    """Return a treq client that asks ``agent`` for identity encoding and keeps no cookies."""
    no_cookies = IndexableCookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return HTTPClient(IdentityAgent(agent), no_cookies)


def send(
    http: HTTPClient, method: str, url: str, headers: Mapping[str, list[str]], seconds: float, clock: IReactorTime
) -> Deferred[IResponse]:
    """Make one request, and wait ``seconds`` for the header of its answer.

    Redirects are left to us, whose rules are stricter than treq's, and the body stays where it is: treq would keep all
    of it in memory.
    """
    answered = http.request(
        method,
        url,
        headers=Headers(dict(headers)),
        allow_redirects=False,
        unbuffered=True,
        reactor=cast(Any, clock),
    )
    return cast("Deferred[IResponse]", answered.addErrback(_unwrap_cancellation)).addTimeout(seconds, clock)


def _unwrap_cancellation(failure: Failure) -> Failure:
    """Twisted wraps it in ResponseNeverReceived: a client that left would look like an attempt that failed."""
    reason = None if failure.value is None else innermost(failure.value)
    return Failure(reason) if isinstance(reason, CancelledError) else failure


@implementer(IAgent)
class IdentityAgent:
    """Asks for bodies as they are.

    treq adds ``Accept-Encoding: gzip`` to every request, and a body it decoded has no length and no digest to check. So
    the field is set here, below treq, last. Upstream answering encoded all the same is refused.
    """

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Make the request (IAgent)."""
        asked = Headers() if headers is None else headers.copy()
        asked.setRawHeaders(b"accept-encoding", [b"identity"])
        return self._agent.request(method, uri, asked, bodyProducer).addCallback(_refuse_encoded)


def _refuse_encoded(response: IResponse) -> IResponse:
    codings = response.headers.getRawHeaders(b"content-encoding", [])
    if any(coding.strip().lower() not in (b"", b"identity") for coding in codings):
        abandon(response)
        raise RefusedEncoding("it sent the body compressed, though it was asked not to")
    return response


@implementer(IReactorTime, IReactorPluggableNameResolver)
class CheckedReactor:
    """Connects to public addresses only.

    The check stands where the connection is made, on the very address that it is made to, so that no second look-up can
    change the answer (DNS rebinding).
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    @property
    def nameResolver(self) -> Any:
        """The reactor's resolver (IReactorPluggableNameResolver)."""
        return self._reactor.nameResolver

    def installNameResolver(self, resolver: Any) -> Any:
        """Install a resolver (IReactorPluggableNameResolver)."""
        return self._reactor.installNameResolver(resolver)

    def connectTCP(self, host: str, port: int, factory: Any, *args: Any, **kwargs: Any) -> IConnector:
        """Connect, or raise RefusedAddress (IReactorTCP)."""
        if not is_public(host):
            raise RefusedAddress(f"its name leads to {host}, which is not a public address")
        connector: IConnector = self._reactor.connectTCP(host, port, factory, *args, **kwargs)
        return connector

    def seconds(self) -> float:
        """Return the time (IReactorTime)."""
        now: float = self._reactor.seconds()
        return now

    def callLater(self, delay: float, callable: Any, *args: object, **kwargs: object) -> IDelayedCall:  # noqa: A002 - its name
        """Call later (IReactorTime)."""
        call: IDelayedCall = self._reactor.callLater(delay, callable, *args, **kwargs)
        return call

    def getDelayedCalls(self) -> Any:
        """Return what will be called (IReactorTime)."""
        return self._reactor.getDelayedCalls()
