"""The way to ask as an HTTP proxy as a service: its CA, and what answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..admin.authority_resource import Trusted
from ..config import Config, ConfigError
from ..forward.authorities import Authorities
from ..forward.authority import Authority
from ..forward.connect import ConnectResource, Settings
from ..forward.granting import Granting, MakeSite
from ..forward.leaves import Leaves
from ..forward.switching import ConnectChannel, Switching
from ..login import Login
from ..oci.names import Registry
from ..policy.aliases import BUILT_IN
from ..sharing import Sharing
from ..upstream.connecting import Endpoints, Reach
from ..web.connections import Connections
from ..web.request import Observe
from ..web.site import PlainSite
from .current_configuration import Configuration

__all__ = ["CA_DIRECTORY", "ForwardingService", "answered_registries", "names_of"]

# Below the data directory.
CA_DIRECTORY = "proxy-ca"
# Tells other workers that there is another CA.
_RENEWED = "proxy ca"
# Seconds between two looks at whether a new CA is due.
_LOOK_SECONDS = 3600.0


class ForwardingService(Service):
    """The HTTP proxy.

    Arguments:
        configuration: the one that counts now.
        login: checks who clients are.
        make_site: makes a site that answers by a configuration.
        observe: is told of each request that is over.
        reactor: connects, and times.
        now: seconds since the epoch.
        sharing: what other workers know as well.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: Configuration,
        login: Login,
        make_site: MakeSite,
        observe: Observe,
        reactor: Any,
        now: Callable[[], float],
        sharing: Sharing,
    ) -> None:
        config = configuration()
        self._sharing = sharing
        self._reached: tuple[Config, Endpoints] | None = None
        self._configuration = configuration
        self._reactor = reactor
        self.authorities = Authorities(Path(config.data_dir) / CA_DIRECTORY, now)
        leaves = Leaves(self.authorities.signer_for, now)
        connections = Connections(reactor)
        granting = Granting(configuration, self._answered, leaves, make_site, self._endpoints, connections, reactor)
        resource = ConnectResource(self._settings, login.user_of, granting)
        self.site = PlainSite.make(resource, "proxy", reactor, observe, config.timeouts.write)
        self.site.connections = connections
        self.site.protocol = ConnectChannel
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        configuration.changed.append(lambda _: self._look())
        sharing.on(_RENEWED, lambda _: self._look())

    def factory(self) -> Switching:
        """Return what makes connections."""
        return Switching(self.site)

    def privilegedStartService(self) -> None:
        """Read the CA, or make one (IService). Raises ConfigError: it cannot be."""
        super().privilegedStartService()
        try:
            self.authorities.refresh(names_of(self._configuration()))
        except OSError as error:
            raise ConfigError(f"the CA of the proxy cannot be read or written: {error}") from error

    def startService(self) -> None:
        """Look now and then whether a new CA is due (IService)."""
        super().startService()
        self._looking.start(_LOOK_SECONDS, now=False)

    def stopService(self) -> Deferred[None] | None:
        """Look no more (IService)."""
        if self._looking.running:
            self._looking.stop()
        super().stopService()
        return None

    def trusted(self) -> list[Trusted]:
        """Return what clients are to trust (authority_resource.Authorities)."""
        return [_as_told(one) for one in self.authorities.trusted]

    def renew(self) -> Trusted:
        """Make another CA (authority_resource.Authorities)."""
        made = self.authorities.renew(names_of(self._configuration()))
        self._sharing.tell(_RENEWED)
        return _as_told(made)

    def _look(self) -> None:
        try:
            self.authorities.refresh(names_of(self._configuration()))
        except OSError as error:
            self._log.warn("the CA of the proxy cannot be read or written: {error}", error=error)

    def _settings(self) -> Settings:
        config = self._configuration()
        return Settings(answered_registries(config), config.forward.tunnels, config.access)

    def _answered(self) -> frozenset[Registry]:
        return answered_registries(self._configuration())

    def _endpoints(self) -> Endpoints:
        config = self._configuration()
        if self._reached is None or self._reached[0] is not config:
            # Made once: they read the system's certificates, which takes 20 ms.
            nothing: frozenset[str] = frozenset()
            reach = Reach(False, nothing, nothing, None, nothing, None, config.proxies, named=True)
            self._reached = config, Endpoints(self._reactor, config.timeouts.connect, reach)
        return self._reached[1]


def _as_told(authority: Authority) -> Trusted:
    return Trusted(
        authority.shown().decode("ascii"),
        authority.fingerprint,
        tuple(sorted(authority.names)),
        authority.not_before,
        authority.not_after,
    )


def answered_registries(config: Config) -> frozenset[Registry]:
    """Return the registries that are answered in their place."""
    # Without a domain there are no aliases; what they would be is asked for all the same.
    aliases = BUILT_IN.values() if config.names.domain is None else config.names.aliases.values()
    named = {*aliases, *config.upstreams, *config.forward.registries}
    if config.names.default_registry is not None:
        named.add(config.names.default_registry)
    return frozenset(registry for registry in named if registry.hosts)


def names_of(config: Config) -> frozenset[str]:
    """Return the host names that the proxy's CA is to sign for."""
    return frozenset(host for registry in answered_registries(config) for host in registry.hosts)
