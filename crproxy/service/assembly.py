"""The daemon put together: what answers, where it listens, and who is told how it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IProtocolFactory

from ..admin.alias_file import Source
from ..admin.endpoint import admin_endpoint
from ..config import Config
from ..tls.accepting import TLSFactory
from .core import Core
from .current_configuration import CurrentConfiguration
from .endpoints import client_endpoint, counted
from .graceful_shutdown import Listeners, OrderedServices
from .listening import Listener
from .monitoring import Monitoring
from .reloading import Reloading
from .reporting import Reporting
from .supervisor import Supervisor

__all__ = ["make_service"]

_NOBODY = Supervisor()


def make_service(
    config: Config,
    reactor: Any,
    load: Callable[[], Config] | None = None,
    source: Source | None = None,
    supervisor: Supervisor = _NOBODY,
    *,
    now: Callable[[], float] | None = None,
) -> IService:
    """Return the daemon, not yet started.

    Arguments:
        load: reads the configuration again, when the daemon is told to; raises ConfigError.
        source: the file that it reads, which aliases are written back into.
        supervisor: is told how it goes.
        now: seconds since the epoch; the reactor's by default.
    """
    current = CurrentConfiguration(config, load or (lambda: config), source)
    whole, daemon = OrderedServices(), MultiService()
    daemon.setServiceParent(whole)
    reporting = Reporting(supervisor, lambda: _status(listeners), reactor)
    reporting.setServiceParent(daemon)
    core = Core.make(current, reactor, now=now)
    core.start_with(daemon)
    listeners = Listeners(config.listen.grace, reporting.stopping, reactor)
    listeners.setServiceParent(whole)
    monitoring = Monitoring(core, listeners)
    monitoring.start_with(daemon)
    _listen(listeners, core, config, monitoring)
    Reloading(lambda: reporting.reload(core.reload), reactor).setServiceParent(daemon)
    return whole


def _status(listeners: Listeners) -> str:
    """Return where it listens, in a line."""
    urls = [service.url for service in listeners if isinstance(service, Listener)]
    return f"listens on {', '.join(url for url in urls if url.startswith('http'))}"


def _listen(listeners: Listeners, core: Core, config: Config, monitoring: Monitoring) -> None:
    """Let clients and the operator come in by ``listeners``."""
    site, too_many, certificates = core.site(), core.refusing_site(), core.certificates
    listeners.watch(site)
    listeners.watch(too_many)

    def listen_for_clients(description: str, scheme: str, inside: IProtocolFactory, refusing: IProtocolFactory) -> None:
        factory = counted(description, inside, refusing, core.accounts, core.reactor)
        endpoint = client_endpoint(description, config.listen, core.reactor)
        # Where there is TLS, images are pulled by it.
        in_the_clear = "" if certificates is not None else None
        known_as = config.names.domain if scheme == "https" else in_the_clear
        secured = scheme == "https"
        Listener(description, endpoint, factory, scheme, known_as=known_as, secured=secured).setServiceParent(listeners)

    if certificates is not None:
        for description in config.listen.https:
            secure, refusing = (TLSFactory(one, certificates.choose, core.reactor) for one in (site, too_many))
            listen_for_clients(description, "https", secure, refusing)
    plain = core.plain_site(site)
    listeners.watch(plain)
    for description in config.listen.http:
        listen_for_clients(description, "http", plain, too_many)
    admin = admin_endpoint(config)
    if admin:
        operators, endpoint = core.operators_site(monitoring.resources()), serverFromString(core.reactor, admin)
        optional = config.listen.admin is None
        Listener(admin, endpoint, operators, "admin", known_as="", optional=optional).setServiceParent(listeners)
        listeners.watch(operators)
