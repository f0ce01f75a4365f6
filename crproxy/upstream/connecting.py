"""Where a URL's host is connected to: at public addresses only, directly or through a proxy, with which trust.

Knows sockets, TLS and proxies; knows nothing of requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IReactorPluggableNameResolver,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from ..config import Config, Upstream
from ..policy.addresses import is_public
from ..policy.hosts import refused_host, refused_port
from ..policy.proxies import Proxies, Proxy
from ..policy.urls import Origin, origin_of
from ..transports.clients import connect_tcp
from .errors import RefusedAddress
from .securing import SecureEndpoint, make_context
from .tunnel import ProxyEndpoint, TunnelEndpoint

__all__ = ["CheckedReactor", "Endpoints", "Reach"]


@dataclass(frozen=True, slots=True)
class Reach:
    """What decides how an upstream's hosts are connected to. Upstreams that agree in it share their connections.

    Arguments:
        keepalive: connections are kept.
        private_hosts: may have addresses that are not public, and be asked at any port.
        token_hosts: may be asked at any port.
        unusual: the endpoint's origin, where that has a port of its own and is named.
        authorities: what ``own_hosts`` are trusted by, in PEM.
        proxies: what is reached through which.
        named: may be reached through a proxy, where no address can be checked.
    """

    keepalive: bool
    private_hosts: frozenset[str]
    token_hosts: frozenset[str]
    unusual: Origin | None
    own_hosts: frozenset[str]
    authorities: str | None = field(repr=False)
    proxies: Proxies
    named: bool

    @classmethod
    def of(cls, upstream: Upstream) -> Reach:
        """Return how ``upstream`` is reached."""
        own_hosts = frozenset() if upstream.authorities is None else upstream.own_hosts
        return cls(
            upstream.keepalive,
            upstream.private_hosts,
            upstream.token_hosts,
            _unusual(upstream),
            own_hosts,
            upstream.authorities,
            upstream.proxies,
            upstream.named,
        )

    @classmethod
    def of_ca(cls, config: Config) -> Reach:
        """Return how the CA is reached: wherever it is written that it is, through the environment's proxy."""
        origin = None if config.acme.directory is None else origin_of(config.acme.directory)
        host = frozenset() if origin is None else frozenset({origin.host})
        return cls(True, host, frozenset(), None, host, config.acme.authorities, config.proxies, named=True)


@implementer(IAgentEndpointFactory)
class Endpoints:
    """How a URL's host is connected to.

    Only by its name, at its scheme's own port and at public addresses, unless it is one of the private hosts. The
    exception is for those alone, not for where they redirect to or whose tokens they ask for. This is asked for every
    request, whether or not a connection is kept: for registries, redirects and token services alike.

    Arguments:
        seconds: after which an attempt to connect is given up.
    """

    def __init__(self, reactor: Any, seconds: float, reach: Reach) -> None:
        self._anywhere = ConnectingReactor(reactor)
        self._checked = CheckedReactor(reactor)
        self._seconds = seconds
        self._reach = reach
        self._trust = make_context()
        self._own_trust = self._trust if reach.authorities is None else make_context(reach.authorities)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the endpoint to connect to; raises RefusedAddress (IAgentEndpointFactory)."""
        host = uri.host.decode("ascii").lower()
        endpoint = self.below(Origin(uri.scheme.decode("ascii"), host, uri.port))
        if uri.scheme == b"http":
            return endpoint
        return SecureEndpoint(endpoint, self._own_trust if host in self._reach.own_hosts else self._trust, host)

    def below(self, origin: Origin) -> IStreamClientEndpoint:
        """Return the endpoint of ``origin`` below TLS. Raises RefusedAddress."""
        proxy = self.proxy(origin)
        if proxy is None:
            return self._direct(origin.host, origin.port)
        return TunnelEndpoint(self.to_proxy(proxy), proxy, origin.host, origin.port)

    def proxy(self, origin: Origin) -> Proxy | None:
        """Return the proxy that ``origin`` is reached through; None is directly.

        Raises:
            RefusedAddress: it must not be asked at all, or there is one, and nothing vouches for where it would lead.
        """
        proxy = self._reach.proxies.for_origin(origin)
        if origin.host in self._reach.private_hosts:
            return proxy
        self._refuse(origin)
        if proxy is not None and not self._reach.named:
            raise RefusedAddress(
                f"it would be reached through the proxy {proxy}, where its address cannot be checked, so only "
                "registries that the configuration names are"
            )
        return proxy

    def _refuse(self, origin: Origin) -> None:
        why = refused_host(origin.host)
        if why is None and origin != self._reach.unusual and origin.host not in self._reach.token_hosts:
            why = refused_port(origin)
        if why is not None:
            raise RefusedAddress(why)

    def to_proxy(self, proxy: Proxy) -> IStreamClientEndpoint:
        """Return the endpoint of the proxy itself, which may be anywhere."""
        return ProxyEndpoint(HostnameEndpoint(self._anywhere, proxy.host, proxy.port, timeout=self._seconds), proxy)

    def _direct(self, host: str, port: int) -> HostnameEndpoint:
        reactor = self._anywhere if host in self._reach.private_hosts else self._checked
        return HostnameEndpoint(reactor, host, port, timeout=self._seconds)


def _unusual(upstream: Upstream) -> Origin | None:
    origin = origin_of(upstream.endpoint) if upstream.named else None
    return None if origin is None or refused_port(origin) is None else origin


@implementer(IReactorTime, IReactorPluggableNameResolver)
class ConnectingReactor:
    """A reactor for an endpoint to connect by, whose connections are those of our own transports."""

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
        """Connect (IReactorTCP)."""
        return connect_tcp(self._reactor, host, port, factory, *args, **kwargs)

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


class CheckedReactor(ConnectingReactor):
    """Connects to public addresses only.

    The check stands where the connection is made, on the very address that it is made to, so that no second look-up can
    change the answer (DNS rebinding).
    """

    def connectTCP(self, host: str, port: int, factory: Any, *args: Any, **kwargs: Any) -> IConnector:
        """Connect, or raise RefusedAddress (IReactorTCP)."""
        if not is_public(host):
            raise RefusedAddress(f"its name leads to {host}, which is not a public address")
        return super().connectTCP(host, port, factory, *args, **kwargs)
