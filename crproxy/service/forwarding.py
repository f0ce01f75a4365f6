"""The way to ask as an HTTP proxy as a service: its CA, and what answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..admin.authority_resource import Trusted
from ..config import Config
from ..forward.authorities import DIRECTORY, Authorities, NotReached
from ..forward.authority import Authority
from ..forward.connect import ConnectResource, Settings
from ..forward.granting import Granting, MakeSite
from ..forward.leaves import Leaves
from ..forward.switching import ConnectChannel, Switching
from ..login import Login
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry
from ..sharing import Sharing
from ..upstream.connecting import Endpoints, Reach
from ..web import page
from ..web.connections import Connections
from ..web.request import Observe
from ..web.site import PlainSite
from .current_configuration import Configuration
from .starting import CannotStart

if TYPE_CHECKING:
    from ..fleet.fleet import Membership
    from ..forward.common_authorities import CommonAuthorities

__all__ = ["ForwardingService"]

# Tells other workers that there is another CA.
_RENEWED = "proxy ca"
# Seconds between two looks at whether a new CA is due.
_LOOK_SECONDS = 3600.0
# And at what other nodes have made.
_COMMON_SECONDS = 60.0


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
        membership: in a fleet, whose nodes have one CA.
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
        membership: Membership | None = None,
    ) -> None:
        config = configuration()
        self._sharing = sharing
        self._reached: tuple[Config, Endpoints] | None = None
        self._configuration = configuration
        self._reactor = reactor
        self.authorities = Authorities(Path(config.data_dir) / DIRECTORY, now)
        self._common = None if membership is None else _common(membership, self.authorities)
        if membership is not None:
            membership.valkey.on_up(self._look_now)
        leaves = Leaves(self.authorities.signer_for, now)
        connections = Connections(reactor)
        self._granting = granting = Granting(
            configuration, self._answered, login.lets_in, leaves, make_site, self._endpoints, connections, reactor
        )
        resource = ConnectResource(self._settings, login.user_of, granting)
        self.site = PlainSite.make(resource, "proxy", reactor, observe, config.timeouts.write)
        self.site.connections = connections
        self.site.protocol = ConnectChannel
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        configuration.changed.append(self._changed)
        sharing.on(_RENEWED, lambda _: self._read())

    def factory(self) -> Switching:
        """Return what makes connections."""
        return Switching(self.site)

    def privilegedStartService(self) -> None:
        """Read the CA, or make one (IService). Raises CannotStart: it cannot be."""
        super().privilegedStartService()
        try:
            if self._common is None:
                self.authorities.refresh(self._configuration().answered_hosts)
            else:
                self.authorities.read()
        except OSError as error:
            raise CannotStart(f"the CA of the proxy cannot be read or written: {error}") from error

    def startService(self) -> None:
        """Look now and then whether a new CA is due (IService)."""
        super().startService()
        self._looking.start(_LOOK_SECONDS if self._common is None else _COMMON_SECONDS, now=self._common is not None)

    def stopService(self) -> Deferred[None] | None:
        """Look no more (IService)."""
        if self._looking.running:
            self._looking.stop()
        super().stopService()
        return None

    def trusted(self) -> list[Trusted]:
        """Return what clients are to trust (authority_resource.Authorities)."""
        return [_as_told(one) for one in self.authorities.trusted]

    def shown(self) -> list[page.Authority]:
        """Return what people are shown of those (page.ReadAuthorities)."""
        return [page.Authority(one.shown().decode("ascii"), one.fingerprint) for one in self.authorities.trusted]

    async def renew(self, *, at_once: bool) -> Trusted:
        """Make another CA (authority_resource.Authorities)."""
        names = self._configuration().answered_hosts
        if not names:
            raise RegistryError(ErrorCode.DENIED, "no registry is answered: name one under [proxy]", status=409)
        if self._common is None:
            made = self.authorities.renew(names, at_once=at_once)
        else:
            try:
                made = await self._common.renew(names, at_once=at_once)
            except NotReached as error:
                raise RegistryError(
                    ErrorCode.UNAVAILABLE, f"the CA is the fleet's, and Valkey is away ({error}): try again later"
                ) from error
        self._sharing.tell(_RENEWED)
        return _as_told(made)

    def _read(self) -> None:
        """Another worker has made one."""
        try:
            self.authorities.read()
        except OSError as error:
            self._log.warn("the CA of the proxy cannot be read or written: {error}", error=error)

    async def _look(self) -> None:
        names, before = self._configuration().answered_hosts, self.authorities.trusted
        try:
            if self._common is None:
                self.authorities.refresh(names)
            elif self._sharing.leads:
                await self._common.meet(names)
            else:
                self.authorities.read()
        except NotReached:
            # Valkey's own line says so.
            return
        except OSError as error:
            self._log.warn("the CA of the proxy cannot be read or written: {error}", error=error)
        if self.authorities.trusted != before:
            self._sharing.tell(_RENEWED)

    def _look_now(self) -> None:
        Deferred.fromCoroutine(self._look()).addErrback(
            lambda failure: self._log.failure("the CA of the proxy could not be looked after", failure)
        )

    def _changed(self, _: Config) -> None:
        self._granting.leave_out()
        self._look_now()

    def _settings(self) -> Settings:
        config = self._configuration()
        return Settings(config.answered, config.forward.tunnels, config.access)

    def _answered(self) -> frozenset[Registry]:
        return self._configuration().answered

    def _endpoints(self) -> Endpoints:
        config = self._configuration()
        if self._reached is None or self._reached[0] is not config:
            # Made once: they read the system's certificates, which takes 20 ms.
            nothing: frozenset[str] = frozenset()
            reach = Reach(False, nothing, nothing, None, nothing, None, config.proxies, named=True)
            self._reached = config, Endpoints(self._reactor, config.timeouts.connect, reach)
        return self._reached[1]


def _common(membership: Membership, authorities: Authorities) -> CommonAuthorities:
    # They take what is installed for fleets alone.
    from ..fleet.sealed_values import SealedValues
    from ..forward.common_authorities import CommonAuthorities

    return CommonAuthorities(SealedValues(membership.valkey, membership.secret, "proxy-ca"), authorities)


def _as_told(authority: Authority) -> Trusted:
    return Trusted(
        authority.shown().decode("ascii"),
        authority.fingerprint,
        tuple(sorted(authority.names)),
        authority.not_before,
        authority.not_after,
    )
