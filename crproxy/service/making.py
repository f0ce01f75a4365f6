"""The daemon put together."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService, MultiService
from twisted.internet.endpoints import serverFromString

from ..admin.site import make_admin_site
from ..config import Config
from ..policy.urls import origin_of
from ..pullthrough import PullThrough
from ..pullthrough.blobs import Blobs
from ..pullthrough.manifests import Manifests
from ..tls.accepting import TLSFactory
from ..upstream.agent import Clients
from ..upstream.client import RegistryClient
from ..upstream.connecting import Reach
from ..upstream.exchange import Exchange
from ..upstream.logins import Logins
from ..upstream.quotas import Quotas
from ..upstream.tokens import Tokens
from ..web.plain import make_plain_site
from ..web.registry import RegistryResource
from ..web.site import PlainSite, make_site
from ..web.token import TokenResource
from .admitting import LoginService
from .caching import CacheService
from .front import Front, InTurn
from .listening import Listener
from .live import Live
from .reloading import Reloading
from .reporting import Reporting
from .supervisor import Supervisor

if TYPE_CHECKING:
    from ..tls.certifying import Certificates

__all__ = ["make_pullthrough", "make_service"]

_HTTPS_PORT = 443
# What unix(7) has room for.
_LONGEST_SOCKET_PATH = 107
_NOBODY = Supervisor()


def make_service(
    config: Config,
    reactor: Any,
    load: Callable[[], Config] | None = None,
    supervisor: Supervisor = _NOBODY,
) -> IService:
    """Return the daemon, not yet started.

    Arguments:
        load: reads the configuration again, when the daemon is told to; raises ConfigError.
        supervisor: is told how it goes.
    """
    live = Live(config, load or (lambda: config))
    whole, daemon = InTurn(), MultiService()
    daemon.setServiceParent(whole)
    reporting = Reporting(supervisor, lambda: _status(front), reactor)
    reporting.setServiceParent(daemon)
    front = Front(config.listen.grace, reporting.stopping, reactor)
    front.setServiceParent(whole)
    cache = CacheService(config, reactor)
    cache.setServiceParent(daemon)
    clients = Clients(reactor, config.timeouts)
    site = _site(live, daemon, cache, clients, reactor)
    front.watch(site)
    certificates = _certificates(live, clients, reactor) if config.listen.https else None
    if certificates is not None:
        certificates.setServiceParent(daemon)
        for description in config.listen.https:
            secure = TLSFactory(site, certificates.choose, reactor)
            endpoint = serverFromString(reactor, description)
            Listener(description, endpoint, secure, "https", known_as=config.names.domain).setServiceParent(front)
    for description in config.listen.http:
        plain = site if certificates is None else _plain_site(certificates, site, live, reactor)
        endpoint = serverFromString(reactor, description)
        # Where there is TLS, images are pulled by it.
        known_as = None if certificates is None else ""
        Listener(description, endpoint, plain, "http", known_as=known_as).setServiceParent(front)
        front.watch(plain)
    admin = _admin_endpoint(config)
    if admin:
        states = certificates.states if certificates is not None else list
        door = make_admin_site(lambda: live().names.aliases, live.set_alias, states, reactor)
        optional = config.listen.admin is None
        endpoint = serverFromString(reactor, admin)
        Listener(admin, endpoint, door, "admin", known_as="", optional=optional).setServiceParent(front)
        front.watch(door)
    Reloading(lambda: reporting.reload(live.reload), reactor).setServiceParent(daemon)
    return whole


def _status(front: Front) -> str:
    """Return where it listens, in a line."""
    urls = [service.url for service in front if isinstance(service, Listener)]
    return f"listens on {', '.join(url for url in urls if url.startswith('http'))}"


def make_pullthrough(
    current: Callable[[], Config], cache: CacheService, exchange: Exchange, reactor: Any
) -> PullThrough:
    """Return what answers requests, with all that it needs behind it.

    Arguments:
        current: returns the configuration that counts now.
        exchange: asks upstreams.
    """
    config = current()
    client = RegistryClient(lambda registry: current().upstream(registry), exchange, Quotas(reactor.seconds))
    return PullThrough(
        Manifests(client, cache.store, config.cache.lifetimes, reactor),
        Blobs(client, cache.store, cache.flights, reactor),
        client,
        lambda registry: current().upstream(registry).username is not None,
    )


def _site(live: Live, daemon: MultiService, cache: CacheService, clients: Clients, reactor: Any) -> PlainSite:
    timeouts = live().timeouts
    tokens = Tokens(timeouts, reactor)
    exchange = Exchange(clients.client, tokens, timeouts, reactor)
    admitting = LoginService(live, Logins(clients.client, exchange, tokens, reactor), reactor)
    admitting.setServiceParent(daemon)
    registry = RegistryResource(live, admitting.login, make_pullthrough(live, cache, exchange, reactor))
    return make_site(registry, TokenResource(admitting.login, reactor), reactor)


def _certificates(live: Live, clients: Clients, reactor: Any) -> Certificates:
    # Its libraries take a fifth of a second and 10 MiB, which a proxy without TLS need not spend.
    from ..tls.certifying import Certificates, names_of

    certificates = Certificates(live(), clients.reaching(_reach_of_ca(live())), reactor)
    live.changed.append(lambda changed: certificates.rename(names_of(changed)))
    return certificates


def _reach_of_ca(config: Config) -> Reach:
    """Return how the CA is reached: wherever it is written that it is, through the environment's proxy."""
    origin = None if config.acme.directory is None else origin_of(config.acme.directory)
    host = frozenset() if origin is None else frozenset({origin.host})
    return Reach(True, host, host, config.acme.authorities, config.proxies, named=True)


def _plain_site(certificates: Certificates, site: PlainSite, live: Live, reactor: Any) -> PlainSite:
    listen = live().listen
    otherwise = site.resource if listen.serve_plain else None
    return make_plain_site(certificates.find_answer, otherwise, live, _port_of(listen.https), reactor)


def _port_of(endpoints: tuple[str, ...]) -> int:
    """Return the port that clients know by the first of these endpoint strings."""
    match = re.match(r"(?:tcp6?:)?(?:port=)?([0-9]+)", endpoints[0])
    return int(match[1]) if match is not None else _HTTPS_PORT


def _admin_endpoint(config: Config) -> str:
    """Return where the operator's door is: as configured, else in the data directory, if a socket's path fits."""
    if config.listen.admin is not None:
        return config.listen.admin
    path = str(Path(config.data_dir).absolute() / "admin.sock")
    fits = len(path.encode()) <= _LONGEST_SOCKET_PATH and ":" not in path
    return f"unix:{path}:mode=660" if fits else ""
