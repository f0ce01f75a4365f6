"""The daemon put together: a configuration and a reactor in, a Twisted service out."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from .config import Config
from .pullthrough import PullThrough
from .upstream.agent import Clients
from .upstream.client import RegistryClient
from .upstream.exchange import Exchange
from .upstream.tokens import Tokens
from .web.registry import RegistryResource
from .web.site import make_site

__all__ = ["ListenError", "Listener", "make_pullthrough", "make_service"]


class ListenError(Exception):
    """An endpoint cannot be listened on; the text says which, why, and what to do."""


def make_service(config: Config, reactor: Any) -> IService:
    """Return the daemon, not yet started."""
    site = make_site(RegistryResource(config.names, make_pullthrough(config, reactor)), reactor)
    daemon = MultiService()
    for description in config.http:
        Listener(description, serverFromString(reactor, description), site).setServiceParent(daemon)
    return daemon


def make_pullthrough(config: Config, reactor: Any) -> PullThrough:
    """Return what answers requests, with all that it needs behind it."""
    clients = Clients(reactor, config.timeouts)
    tokens = Tokens(config.timeouts, reactor)
    exchange = Exchange(clients.client, tokens, config.timeouts, reactor)
    return PullThrough(RegistryClient(config.upstream, exchange, reactor.seconds))


class Listener(Service):
    """One endpoint, listened on while the service runs. Says where, since port 0 is any."""

    _log = Logger()

    def __init__(self, description: str, endpoint: IStreamServerEndpoint, factory: IProtocolFactory) -> None:
        self._description = description
        self._endpoint = endpoint
        self._factory = factory
        self._port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """Listen, while the process may still use ports below 1024."""
        super().privilegedStartService()
        failures: list[Failure] = []
        self._endpoint.listen(self._factory).addCallbacks(self._listens, failures.append)
        # Twisted's endpoints fail at once. Raised here, it stops the start; in the Deferred, the daemon would idle on.
        for failure in failures:
            raise ListenError(self._explain(failure)) from failure.value

    def stopService(self) -> Deferred[None] | None:
        """Stop listening."""
        super().stopService()
        port, self._port = self._port, None
        return None if port is None else port.stopListening()

    def _listens(self, port: IListeningPort) -> None:
        self._port = port
        where = _where(port.getHost())
        self._log.info("crproxy listens on http://{where}", where=where)
        self._log.info("try: docker pull {where}/quay.io/prometheus/busybox:latest", where=where)

    def _explain(self, failure: Failure) -> str:
        return (
            f"cannot listen on {self._description}: {failure.getErrorMessage().rstrip('.')}. "
            "Give another endpoint with --http, such as --http tcp:5001:interface=127.0.0.1"
        )


def _where(address: IAddress) -> str:
    """Return the address as it is written in front of an image's name."""
    if not isinstance(address, IPv4Address | IPv6Address):
        return str(address)
    if address.host in ("0.0.0.0", "::"):  # noqa: S104 - what was listened on, not what to listen on
        return f"localhost:{address.port}"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"
