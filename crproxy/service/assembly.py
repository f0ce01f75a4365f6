"""The daemon put together: what answers, where it listens, and who is told how it goes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from twisted.application.service import IService, MultiService
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.interfaces import IProtocolFactory
from twisted.web.resource import Resource

from ..admin.alias_file import Source
from ..admin.authority_resource import AuthorityResource
from ..admin.configuration_resource import ConfigurationResource
from ..config import Config
from ..peers import make_peer_site, socket_of
from ..sharing import Sharing
from ..tls.accepting import TLSFactory
from ..transports.servers import serve
from .admin_api import make_operators_site
from .core import Core
from .current_configuration import Configuration, CurrentConfiguration
from .daemon_log import DaemonLog
from .endpoints import client_endpoint, counted
from .fleet import FleetService
from .forwarding import ForwardingService
from .graceful_shutdown import Listeners
from .listening import Listener, status_of
from .monitoring import Monitoring
from .operators_page import OperatorsPage
from .ordered_services import OrderedServices
from .port_plans import PortPlan, port_plans
from .ports import OwnPorts, Ports
from .reloading import Reloading
from .reporting import Reporting
from .supervisor import Supervisor

__all__ = ["make_service", "make_worker"]

_NOBODY = Supervisor()


def make_service(
    config: Config,
    reactor: Any,
    load: Callable[[], Config] | None = None,
    source: Source | None = None,
    supervisor: Supervisor = _NOBODY,
    log: DaemonLog | None = None,
    *,
    now: Callable[[], float] | None = None,
) -> IService:
    """Return the daemon in one process, not yet started.

    Arguments:
        load: reads the configuration again, when the daemon is told to; raises ConfigError.
        source: the file that it reads, which aliases are written back into.
        supervisor: is told how it goes.
        log: goes by the configuration that counts.
        now: seconds since the epoch; the reactor's by default.
    """
    current = CurrentConfiguration(config, load or (lambda: config), source, now=now or reactor.seconds)
    if log is not None:
        current.changed.append(log.take)
    whole, daemon = OrderedServices(), MultiService()
    daemon.setServiceParent(whole)
    reporting = Reporting(supervisor, lambda: status_of(listeners), reactor)
    reporting.setServiceParent(daemon)
    core = Core.make(current, reactor, now=now)
    listeners = Listeners(config.listen.grace, reporting.stopping, reactor)
    _Assembly(core, listeners, daemon, OwnPorts(reactor)).put_together(whole)
    current.reread.append(lambda _: core.audit.reopen())
    Reloading(lambda: reporting.reload(current.reload), reactor).setServiceParent(daemon)
    return whole


def make_worker(
    current: Configuration,
    reactor: Any,
    sharing: Sharing,
    ports: Ports,
    stopping: Callable[[int, float], object],
    *,
    now: Callable[[], float] | None = None,
) -> IService:
    """Return one worker of several, not yet started.

    Arguments:
        current: the configuration that counts now.
        sharing: what the others know as well.
        ports: where they all listen.
        stopping: called when it stops with the number of connections, and the seconds that they have to end.
        now: seconds since the epoch; the reactor's by default.
    """
    whole, daemon = OrderedServices(), MultiService()
    daemon.setServiceParent(whole)
    core = Core.make(current, reactor, now=now, sharing=sharing)
    listeners = Listeners(current().listen.grace, stopping, reactor)
    _Assembly(core, listeners, daemon, ports, is_told=False).put_together(whole)
    return whole


class _Assembly:
    """What answers, where it listens.

    Arguments:
        core: answers.
        listeners: let clients and the operator in.
        daemon: everything else.
        ports: where endpoints come from.
        is_told: the log says where it listens.
    """

    def __init__(
        self, core: Core, listeners: Listeners, daemon: MultiService, ports: Ports, *, is_told: bool = True
    ) -> None:
        self._core = core
        self._listeners = listeners
        self._daemon = daemon
        self._ports = ports
        self._is_told = is_told

    def put_together(self, whole: OrderedServices) -> None:
        """Make the services."""
        core, listeners = self._core, self._listeners
        core.start_with(self._daemon)
        listeners.setServiceParent(whole)
        monitoring = Monitoring(core, listeners)
        monitoring.start_with(self._daemon)
        forwarding, too_many = core.forwarding(), core.refusing_site()
        site = core.site() if forwarding is None else core.site(forwarding.shown)
        shown = {
            **monitoring.resources(),
            "ca": AuthorityResource(lambda: forwarding),
            "configuration": ConfigurationResource(core.configuration.loaded),
        }
        page = OperatorsPage(core)
        page.setServiceParent(self._daemon)
        cast(Resource, site.resource).putChild(b"admin", page.resource())
        plain, operators, own_page = core.plain_site(site), make_operators_site(core, shown), page.site()
        for each in dict.fromkeys((site, too_many, plain, operators, own_page)):
            listeners.watch(each)
        if forwarding is not None:
            listeners.watch(forwarding.site)
            forwarding.setServiceParent(self._daemon)
        if core.sharing.directory is not None:
            self._listen_for_workers(core.sharing.directory)
        for number, plan in enumerate(port_plans(core.configuration())):
            if plan.scheme == "https":
                if core.certificates is not None:
                    choose = core.certificates.choose
                    secure, refusing = (TLSFactory(one, choose, core.reactor) for one in (site, too_many))
                    self._listen_for_clients(number, plan, secure, refusing)
            elif plan.scheme == "http":
                self._listen_for_clients(number, plan, plain, too_many)
            elif plan.scheme in ("proxy", "proxy_tls"):
                if forwarding is not None:
                    self._listen_for_proxied(number, plan, forwarding, too_many)
            elif plan.scheme == "admin":
                self._listen(number, plan, operators, listeners)
            elif plan.scheme == "page":
                self._listen(number, plan, own_page, listeners)
            elif plan.scheme == "fleet":
                if core.commons.fleet is not None:
                    self._listen_for_nodes(number, plan, core.commons.fleet)
            else:
                # It answers until everything else has stopped.
                self._listen(number, plan, monitoring.site(), self._daemon)

    def _listen_for_workers(self, directory: Path) -> None:
        path = socket_of(directory, self._core.sharing.slot)
        # Of the one that was killed in whose place this one is.
        path.unlink(missing_ok=True)
        endpoint = UNIXServerEndpoint(self._core.reactor, str(path), mode=0o600)
        site = make_peer_site(self._core.cache.flights, self._core.reactor)
        # Without it, each worker asks upstream by itself for what the disk takes nothing of.
        Listener(f"unix:{path}", endpoint, site, optional=True, is_told=False).setServiceParent(self._daemon)

    def _listen_for_nodes(self, number: int, plan: PortPlan, fleet: FleetService) -> None:
        site = fleet.site(self._core.cache)
        self._listeners.watch(site)
        self._listen(number, plan, fleet.lets_in(site), self._listeners)

    def _listen_for_proxied(
        self, number: int, plan: PortPlan, forwarding: ForwardingService, too_many: IProtocolFactory
    ) -> None:
        core = self._core
        inside: IProtocolFactory = forwarding.factory()
        if plan.scheme == "proxy_tls":
            if core.certificates is None:
                return
            choose = core.certificates.choose
            inside, too_many = (TLSFactory(one, choose, core.reactor) for one in (inside, too_many))
        self._listen_for_clients(number, plan, inside, too_many)

    def _listen_for_clients(
        self, number: int, plan: PortPlan, inside: IProtocolFactory, refusing: IProtocolFactory
    ) -> None:
        factory = counted(plan.description, inside, refusing, self._core.accounts, self._core.reactor)
        self._listen(number, plan, factory, self._listeners)

    def _listen(self, number: int, plan: PortPlan, factory: IProtocolFactory, parent: MultiService) -> None:
        endpoint = self._ports.endpoint(number, plan.description)
        if endpoint is None:
            return
        endpoint = client_endpoint(plan.description, endpoint, self._core.configuration().listen, self._core.reactor)
        Listener(
            plan.description,
            endpoint,
            factory,
            plan.scheme,
            known_as=plan.known_as,
            optional=plan.optional,
            on_port=functools.partial(serve, turns=plan.turns),
            is_told=self._is_told,
        ).setServiceParent(parent)
