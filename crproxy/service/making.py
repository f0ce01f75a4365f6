"""The daemon put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService, MultiService
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import IResource
from twisted.web.server import Site

from ..admin.cache_door import CacheDoor
from ..admin.door import admin_endpoint
from ..admin.keeping import Source
from ..admin.site import make_admin_site
from ..admin.warm_door import WarmDoor
from ..config import Config
from ..limits import Accounts, Fills
from ..policy.routing import Names
from ..pullthrough import PullThrough
from ..pullthrough.blobs import Blobs
from ..pullthrough.manifests import Manifests
from ..pullthrough.warming import Warming
from ..tls.accepting import TLSFactory
from ..upstream.agent import Clients
from ..upstream.client import RegistryClient
from ..upstream.connecting import Reach
from ..upstream.exchange import Exchange
from ..upstream.logins import Logins
from ..upstream.quotas import Quotas
from ..upstream.tokens import Tokens
from ..web.page import PageResource
from ..web.plain import make_plain_site
from ..web.refusing import make_refusing_site
from ..web.registry import RegistryResource
from ..web.request import Observe
from ..web.site import make_site
from ..web.token import TokenResource
from .admitting import LoginService
from .auditing import AuditLog
from .caching import CacheService
from .doors import client_endpoint, counted
from .listening import Listener
from .live import Live
from .reloading import Reloading
from .showing import state_of

if TYPE_CHECKING:
    from ..tls.certifying import Certificates

__all__ = ["make_pullthrough", "make_service"]


def make_service(
    config: Config, reactor: Any, load: Callable[[], Config] | None = None, source: Source | None = None
) -> IService:
    """Return the daemon, not yet started.

    Arguments:
        load: reads the configuration again, when the daemon is told to; raises ConfigError.
        source: the file that it reads, which aliases are written back into.
    """
    live = Live(config, load or (lambda: config), source)
    daemon = MultiService()
    # The first to start is the last to stop: what the others' ends cut has its lines.
    audit = AuditLog(live, reactor)
    audit.setServiceParent(daemon)
    accounts = Accounts(live, reactor)
    cache = CacheService(config, reactor)
    cache.setServiceParent(daemon)
    clients = Clients(reactor, config.timeouts)
    tokens = Tokens(config.timeouts, reactor)
    exchange = Exchange(clients.client, tokens, config.timeouts, reactor, accounts.from_upstream)
    pullthrough = make_pullthrough(live, cache, exchange, reactor)
    admitting = LoginService(live, Logins(clients.client, exchange, tokens, reactor), reactor)
    admitting.setServiceParent(daemon)
    too_many = make_refusing_site(reactor, audit.observe)
    certificates = _certificates(live, clients, reactor) if config.listen.https else None
    read_state = state_of(cache.store, certificates.ends if certificates is not None else list)
    page = PageResource(live, read_state)
    site = _site(page, live, admitting, pullthrough, accounts, audit.observe, reactor)
    if certificates is not None:
        certificates.setServiceParent(daemon)
        for description in config.listen.https:
            secure, refusing = (TLSFactory(inside, certificates.choose, reactor) for inside in (site, too_many))
            door = counted(description, secure, refusing, accounts, reactor)
            endpoint = client_endpoint(description, config.listen, reactor)
            Listener(description, endpoint, door, "https", known_as=config.names.domain).setServiceParent(daemon)
    for description in config.listen.http:
        plain = site if certificates is None else _plain_site(certificates, site, live, reactor, audit.observe)
        door = counted(description, plain, too_many, accounts, reactor)
        endpoint = client_endpoint(description, config.listen, reactor)
        # Where there is TLS, images are pulled by it.
        known_as = None if certificates is None else ""
        Listener(description, endpoint, door, "http", known_as=known_as).setServiceParent(daemon)
    admin = admin_endpoint(config)
    if admin:
        states = certificates.states if certificates is not None else list
        doors = _doors(live, cache, pullthrough, reactor)
        operators = make_admin_site(lambda: live().names.aliases, live.set_alias, states, reactor, audit.observe, doors)
        optional = config.listen.admin is None
        endpoint = serverFromString(reactor, admin)
        Listener(admin, endpoint, operators, "admin", known_as="", optional=optional).setServiceParent(daemon)

    def reload() -> None:
        live.reload()
        audit.reopen()

    Reloading(reload, reactor).setServiceParent(daemon)
    return daemon


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
        Blobs(client, cache.store, cache.flights, Fills(current), reactor),
        client,
        lambda registry: current().upstream(registry).username is not None,
    )


def _site(
    page: PageResource,
    live: Live,
    admitting: LoginService,
    pullthrough: PullThrough,
    accounts: Accounts,
    observe: Observe,
    reactor: Any,
) -> Site:
    registry = RegistryResource(live, admitting.login, pullthrough, accounts)
    tokens = TokenResource(live, admitting.login, accounts, reactor)
    return make_site(page, registry, tokens, reactor, live().timeouts.write, observe)


def _doors(live: Live, cache: CacheService, pullthrough: PullThrough, reactor: Any) -> dict[str, IResource]:
    """Return what the operator finds behind the admin socket, beside aliases and certificates."""

    def names() -> Names:
        return live().names

    warming = Warming(pullthrough, cache.store, lambda repository: live().access.check(repository), reactor)
    return {
        "cache": CacheDoor(cache.store, cache.census, cache.threads, names, reactor),
        "warm": WarmDoor(warming, names, reactor),
    }


def _certificates(live: Live, clients: Clients, reactor: Any) -> Certificates:
    # Its libraries take a fifth of a second and 10 MiB, which a proxy without TLS need not spend.
    from ..tls.certifying import Certificates, names_of

    certificates = Certificates(live(), clients.reaching(Reach.of_ca(live())), reactor)
    live.changed.append(lambda changed: certificates.rename(names_of(changed)))
    return certificates


def _plain_site(certificates: Certificates, site: Site, live: Live, reactor: Any, observe: Observe) -> Site:
    config = live()
    otherwise = site.resource if config.listen.serve_plain else None
    _, port = config.reached_at
    return make_plain_site(certificates.find_answer, otherwise, live, port, reactor, observe)
