"""What the clients of the proxy get: registries answered in their place, and connections to other hosts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from ..config import Config
from ..limits.accepting import address_of
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry
from ..policy.audit import Ending
from ..policy.connecting import Passed, Target, verdict
from ..policy.urls import Origin
from ..tls.accepting import Contexts
from ..upstream.connecting import Endpoints
from ..upstream.errors import TRANSPORT_ERRORS, describe
from ..web.channel import Channel
from ..web.connections import Connections
from ..web.request import ObservedRequest
from ..web.site import PlainSite
from .connect import Granted
from .inside import Inside, InsideConfiguration, LetsIn
from .layered import LayeredContexts
from .leaves import Leaves
from .switching import ConnectChannel, Switch
from .tunnel import Tunnel

__all__ = ["Granting", "MakeSite"]

# Makes a site that answers by a configuration.
MakeSite = Callable[[Callable[[], Config]], PlainSite]


class Granting:
    """Grants it (Grants).

    Arguments:
        current: returns the configuration that counts now.
        answered: returns the registries that are answered now.
        lets_in: tells who is let in still.
        leaves: makes certificates.
        make_site: makes sites, each when it is first asked for.
        endpoints: returns how other hosts are connected to.
        connections: those of all that is granted are put there.
        clock: the time.
    """

    def __init__(
        self,
        current: Callable[[], Config],
        answered: Callable[[], Collection[Registry]],
        lets_in: LetsIn,
        leaves: Leaves,
        make_site: MakeSite,
        endpoints: Callable[[], Endpoints],
        connections: Connections,
        clock: Any,
    ) -> None:
        self._current = current
        self._answered = answered
        self._lets_in = lets_in
        self._leaves = leaves
        self._make_site = make_site
        self._endpoints = endpoints
        self._clock = clock
        self._contexts, self._layered = Contexts(), LayeredContexts()
        self._sites: dict[tuple[str, Registry], PlainSite] = {}
        self._connections = connections

    async def registry(self, host: str, registry: Registry, user: str | None) -> Granted:
        """Return what answers in the place of a registry (Grants)."""
        certified = self._leaves.find(host)
        if certified is None:
            raise RegistryError(
                ErrorCode.UNAVAILABLE, f"no CA of this proxy may sign for {host}; crproxy ca renew makes one that may"
            )
        site = self._sites.get((host, registry))
        if site is None:
            # Those of registries that are not answered any more are forgotten.
            answered = self._answered()
            self._sites = {key: made for key, made in self._sites.items() if key[1] in answered}
            site = self._make_site(InsideConfiguration(self._current, host, registry, self._answered))
            site.connections = self._connections
            self._sites[host, registry] = site
        return Inside(host, certified, site, user, self._lets_in, self._clock, self._contexts, self._layered)

    def leave_out(self) -> None:
        """End what would be granted no more: what is asked inside with its answer."""
        for connection in self._connections:
            if isinstance(connection, _Passing):
                connection.leave_out()
            elif isinstance(connection, Channel) and not self._is_welcome(connection):
                connection.finish()

    def _is_welcome(self, channel: Channel) -> bool:
        # Who has not said CONNECT yet is asked who he is when he does.
        return isinstance(channel, ConnectChannel) or self._lets_in(channel.user, address_of(channel.getPeer()))

    async def tunnel(self, target: Target, request: Request) -> Granted:
        """Return a connection to a host (Grants)."""
        config = self._current()
        tunnel = Tunnel(config.forward.idle, self._clock)
        try:
            await self._connect(tunnel, target, config.timeouts.connect)
        except BaseException:
            # Also where the client has left meanwhile.
            tunnel.close()
            raise
        return _Passing(tunnel, request, partial(self._is_passed, target, request), self._connections)

    def _is_passed(self, target: Target, request: Request) -> bool:
        """Tell whether it is so by the configuration of now."""
        if not isinstance(verdict(target, (), self._current().forward.tunnels), Passed):
            return False
        user = request.noted.user if isinstance(request, ObservedRequest) else None
        return self._lets_in(user, address_of(request.getClientAddress()))

    async def _connect(self, tunnel: Tunnel, target: Target, seconds: float) -> None:
        factory = Factory.forProtocol(lambda: tunnel.host)
        factory.noisy = False
        try:
            endpoint = self._endpoints().below(Origin("https", target.host, target.port))
            # A proxy in between may take the connection, and then say nothing.
            await endpoint.connect(factory).addTimeout(seconds, self._clock)
        except ValueError as error:
            # What Twisted's resolver says of names that IDNA does not know, such as r3---cdn.example.
            raise _not_connected(target, "its name cannot be resolved") from error
        except (*TRANSPORT_ERRORS, ConnectingCancelledError) as error:
            raise _not_connected(target, describe(error)) from error


def _not_connected(target: Target, why: str) -> RegistryError:
    return RegistryError(ErrorCode.UNAVAILABLE, f"{target.host} cannot be connected to: {why}", status=502)


class _Passing:
    """A tunnel (Granted, and a Connection while it is open). The audit log has its line at its end."""

    _log = Logger()
    is_new = False
    is_busy = True

    def __init__(self, tunnel: Tunnel, request: Request, is_passed: Callable[[], bool], open_ones: Connections) -> None:
        self._tunnel = tunnel
        self._request = request
        self._is_passed = is_passed
        self._open = open_ones

    def begin(self, switch: Switch) -> None:
        """Pass on what is said (Granted)."""
        self._open.opened(self)
        self._tunnel.over.addBoth(self._over)
        switch.give(self._tunnel.client)
        # The configuration may have been read again while the host was connected to.
        self.leave_out()

    def leave_out(self) -> None:
        """End it where it would not be passed through any more."""
        if not self._is_passed():
            self.abort()

    def abandon(self) -> None:
        """Let go of it (Granted)."""
        self._tunnel.close()

    def finish(self) -> None:
        """Wait for its end (Connection): whoever speaks inside knows best when that is."""

    def abort(self) -> None:
        """End it (Connection)."""
        self._tunnel.close()

    def _over(self, result: Failure | None) -> None:
        self._open.ended(self)
        if isinstance(self._request, ObservedRequest):
            self._request.sentLength = self._tunnel.received
            self._request.tell(Ending.WHOLE)
