"""Requests to upstreams: over pooled connections, through proxies, bodies asked for as they are.

Knows HTTP; knows nothing of registries, nor of where a connection may lead.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, cast

from hyperlink import EncodedURL
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ProxyAgent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from .. import __version__
from ..config import Timeouts, Upstream
from ..policy.proxies import Proxy
from ..policy.urls import origin_of
from .connecting import Endpoints, Reach
from .errors import RefusedAddress, RefusedByProxy
from .protocol import make_pool
from .relay import abandon
from .sockets import Sockets

if TYPE_CHECKING:
    from treq.client import HTTPClient

__all__ = [
    "CODING",
    "USER_AGENT",
    "Clients",
    "IdentityAgent",
    "ProxyingAgent",
    "ask_anything",
    "cancelled_as_such",
    "send",
    "treq_client",
]

USER_AGENT = f"crproxy/{__version__}"


# How a body is encoded, as upstream says, though it was asked for as it is.
CODING = b"crproxy-content-encoding"


class Clients:
    """The treq clients of one daemon: few, each over a pool of persistent connections.

    Arguments:
        sockets: counts those of all.
    """

    def __init__(self, reactor: Any, timeouts: Timeouts, sockets: Sockets | None = None) -> None:
        self._reactor = reactor
        self._timeouts = timeouts
        self._sockets = sockets or Sockets()
        self._clients: dict[Reach, HTTPClient] = {}

    def client(self, upstream: Upstream) -> HTTPClient:
        """Return the treq client for ``upstream``."""
        return self.reaching(Reach.of(upstream))

    def reaching(self, reach: Reach) -> HTTPClient:
        """Return the treq client that reaches hosts like this."""
        if reach not in self._clients:
            self._clients[reach] = self._make(reach)
        return self._clients[reach]

    def _make(self, reach: Reach) -> HTTPClient:
        pool = make_pool(self._reactor, persistent=reach.keepalive, sockets=self._sockets)
        endpoints = Endpoints(self._reactor, self._timeouts.connect, reach)
        return treq_client(ProxyingAgent(self._reactor, endpoints, pool))


@implementer(IAgent)
class ProxyingAgent:
    """Sends requests directly or through a tunnel, but those for plain http to the proxy, whole URL and all.

    RFC 9112, 3.2.2. Most proxies allow CONNECT to no port but 443.
    """

    def __init__(self, reactor: Any, endpoints: Endpoints, pool: HTTPConnectionPool) -> None:
        self._reactor = reactor
        self._endpoints = endpoints
        self._pool = pool
        self._usual = Agent.usingEndpointFactory(reactor, endpoints, pool)
        self._proxied: dict[Proxy, ProxyAgent] = {}

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Make the request (IAgent)."""
        try:
            proxy = self._plain_proxy(uri)
            if proxy is None:
                usual: Deferred[IResponse] = self._usual.request(method, uri, headers, bodyProducer)
                return usual
        except RefusedAddress as error:
            return fail(error)
        asked = Headers() if headers is None else headers.copy()
        if proxy.authorization is not None:
            asked.setRawHeaders(b"proxy-authorization", [proxy.authorization.encode("ascii")])
        answered: Deferred[IResponse] = self._agent(proxy).request(method, uri, asked, bodyProducer)
        return answered.addCallback(_refuse_proxys_own, proxy)

    def _plain_proxy(self, uri: bytes) -> Proxy | None:
        origin = origin_of(uri.decode("ascii"))
        return self._endpoints.proxy(origin) if origin is not None and origin.scheme == "http" else None

    def _agent(self, proxy: Proxy) -> ProxyAgent:
        if proxy not in self._proxied:
            self._proxied[proxy] = ProxyAgent(self._endpoints.to_proxy(proxy), self._reactor, self._pool)
        return self._proxied[proxy]


def _refuse_proxys_own(response: IResponse, proxy: Proxy) -> IResponse:
    if response.code == 407:
        abandon(response)
        raise RefusedByProxy(f"the proxy {proxy} answered 407 {response.phrase.decode('latin-1')}")
    return response


def treq_client(agent: IAgent) -> HTTPClient:
    """Return a treq client that asks ``agent`` for identity encoding and keeps no cookies."""
    # The first that is asked of an upstream.
    from treq.client import HTTPClient
    from treq.cookies import IndexableCookieJar

    no_cookies = IndexableCookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return HTTPClient(IdentityAgent(agent), no_cookies)


def send(
    http: HTTPClient,
    method: str,
    url: str,
    headers: Mapping[str, list[str]],
    seconds: float,
    clock: IReactorTime,
    body: bytes | None = None,
) -> Deferred[IResponse]:
    """Make one request, and wait ``seconds`` for the header of its answer.

    Redirects are left to us, whose rules are stricter than treq's, and the body stays where it is: treq would keep all
    of it in memory.
    """
    asked = http.request(
        method,
        _Asked.from_text(url),
        headers=Headers(dict(headers)),
        data=None if body is None else _Written(body),
        allow_redirects=False,
        unbuffered=True,
        reactor=cast(Any, clock),
    )
    return cancelled_as_such(cast("Deferred[IResponse]", asked)).addTimeout(seconds, clock)


def ask_anything(http: HTTPClient, origin: str, seconds: float, clock: IReactorTime) -> Deferred[IResponse]:
    """Ask the host at ``origin`` whether it is there; any answer will do. `send` has the rest."""
    return send(http, "GET", f"{origin}/v2/", {"User-Agent": [USER_AGENT]}, seconds, clock)


def cancelled_as_such(asked: Deferred[IResponse]) -> Deferred[IResponse]:
    """Return ``asked``, which fails with CancelledError where it was cancelled, and only there.

    By itself it fails with ResponseNeverReceived, while a connection is being made with ConnectingCancelledError, while
    a name is being looked up with DNSLookupError: a client that left would look like an attempt that failed.
    """
    cancelled = False

    def cancel(_: Deferred[IResponse]) -> None:
        nonlocal cancelled
        cancelled = True
        asked.cancel()

    answered = Deferred[IResponse](cancel)
    asked.addCallbacks(
        answered.callback, lambda failure: answered.errback(Failure(CancelledError()) if cancelled else failure)
    )
    return answered


class _Asked(EncodedURL):
    """A URL whose host is left as it is written: ASCII.

    hyperlink applies IDNA to it nevertheless, which fails at IPv6's addresses, at underscores, and at r3---cdn.example.
    """

    def to_uri(self) -> EncodedURL:
        """Return it with everything escaped that a request line cannot hold (EncodedURL)."""
        escaped: EncodedURL = EncodedURL.to_uri(self.replace(host="")).replace(host=self.host)
        return escaped


@implementer(IBodyProducer)
class _Written:
    """A short body, written at once: treq would feed even that piece by piece from the global reactor."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._body = body

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write it (IBodyProducer)."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing is left to be paused (IPushProducer)."""

    def resumeProducing(self) -> None:
        """Nothing is left to be resumed (IPushProducer)."""

    def stopProducing(self) -> None:
        """Nothing is left to be stopped (IProducer)."""


@implementer(IAgent)
class IdentityAgent:
    """Asks for bodies as they are, and takes them as they come.

    treq adds ``Accept-Encoding: gzip`` to every request, and a body it decoded has no length and no digest to check. So
    the field is set here, below treq, last. What upstream says all the same of an encoding is moved into a field of our
    own, CODING, so that nobody decodes it.
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
        return self._agent.request(method, uri, asked, bodyProducer).addCallback(_as_it_is)


def _as_it_is(response: IResponse) -> IResponse:
    codings = [coding.strip().lower() for coding in response.headers.getRawHeaders(b"content-encoding", [])]
    response.headers.removeHeader(b"content-encoding")
    response.headers.setRawHeaders(CODING, [coding for coding in codings if coding not in (b"", b"identity")])
    return response
