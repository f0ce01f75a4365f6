"""The daemon put together: a configuration and a reactor in, a Twisted service out."""

from __future__ import annotations

import functools
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from .config import Config
from .flights import Flights, Hangar
from .pullthrough import PullThrough
from .pullthrough.blobs import Blobs
from .pullthrough.manifests import Manifests
from .store.blobs import Blobs as StoredBlobs
from .store.index import Index
from .store.janitor import Janitor
from .store.store import Store
from .upstream.agent import Clients
from .upstream.client import RegistryClient
from .upstream.exchange import Exchange
from .upstream.quotas import Quotas
from .upstream.tokens import Tokens
from .web.registry import RegistryResource
from .web.site import make_site

__all__ = ["CacheService", "ListenError", "Listener", "make_pullthrough", "make_service"]


class ListenError(Exception):
    """An endpoint cannot be listened on; the text says which, why, and what to do."""


def make_service(config: Config, reactor: Any) -> IService:
    """Return the daemon, not yet started."""
    cache = CacheService(config, reactor)
    site = make_site(RegistryResource(config.names, config.access, make_pullthrough(config, cache, reactor)), reactor)
    daemon = MultiService()
    cache.setServiceParent(daemon)
    for description in config.http:
        Listener(description, serverFromString(reactor, description), site).setServiceParent(daemon)
    return daemon


def make_pullthrough(config: Config, cache: CacheService, reactor: Any) -> PullThrough:
    """Return what answers requests, with all that it needs behind it."""
    clients = Clients(reactor, config.timeouts)
    tokens = Tokens(config.timeouts, reactor)
    exchange = Exchange(clients.client, tokens, config.timeouts, reactor)
    client = RegistryClient(config.upstream, exchange, Quotas(reactor.seconds))
    return PullThrough(
        Manifests(client, cache.store, config.cache.lifetimes, reactor),
        Blobs(client, cache.store, cache.flights, reactor),
        client,
        lambda registry: config.upstream(registry).username is not None,
    )


class CacheService(Service):
    """The cache, open while the service runs."""

    _log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        # Disks gain nothing from more at once; the reactor's own pool is left to name look-ups.
        self._pool = ThreadPool(minthreads=1, maxthreads=8, name="crproxy-disk")
        threads = functools.partial(deferToThreadPool, reactor, self._pool)
        files = StoredBlobs(Path(config.data_dir) / "cache")
        try:
            files.prepare()
        except OSError as error:
            self._log.error("nothing will be kept, all is passed on: {error}", error=error)
        index = Index(Path(config.data_dir) / "index.sqlite", reactor.seconds)
        self.store = Store(files, index, config.cache.size, threads)
        self.flights = Flights(Hangar(files, threads, reactor, self.store.make_room, self.store.stored))
        self.store.promised = self.flights.promised
        self._janitor = Janitor(self.store, threads, reactor)

    def startService(self) -> None:
        """Begin to work on disk."""
        super().startService()
        self._pool.start()
        self._janitor.start()

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Stop what is being fetched, and close."""
        super().stopService()
        yield self.flights.stop()
        self._janitor.stop()
        self._pool.stop()
        self.store.index.close()


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
        scheme = "https" if self._description.startswith("ssl:") else "http"
        self._log.info("crproxy listens on {scheme}://{where}", scheme=scheme, where=where)
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
