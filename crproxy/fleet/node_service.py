"""Where other nodes come in: listened on while the service runs, and left once they have what they came for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from ..transports.servers import Turns, serve
from ..web.site import PlainSite
from .identity import Identity
from .nodes_only import NodesOnly

__all__ = ["NodeService"]


class NodeService(Service):
    """Lets other nodes in at each of the endpoints. ``ports`` are those that listen.

    Arguments:
        endpoints: listen; several workers of a node may have the same sockets (see `service.ports`).
        identity: whom it shows itself as, and whom it lets in.
        site: answers (see `make_node_site`).
        grace: seconds that connections have to end when it stops.
        reactor: for waiting.
    """

    _log = Logger()

    def __init__(
        self,
        endpoints: Sequence[IStreamServerEndpoint],
        identity: Identity,
        site: PlainSite,
        grace: float,
        reactor: Any,
    ) -> None:
        self.ports: list[IListeningPort] = []
        self.factory = NodesOnly(site, identity.server, reactor)
        self.site = site
        self._endpoints = endpoints
        self._grace = grace
        self._reactor = reactor

    def privilegedStartService(self) -> None:
        """Listen. Raises OSError, or what else an endpoint fails with."""
        super().privilegedStartService()
        for endpoint in self._endpoints:
            failures: list[Any] = []
            # Twisted's endpoints are there, or fail, at once.
            endpoint.listen(self.factory).addCallbacks(self._listens, failures.append)
            for failure in failures:
                failure.raiseException()

    def stopService(self) -> Deferred[Any]:
        """Listen no more; fires when no connection is left, after the grace period at the latest."""
        super().stopService()
        ports, self.ports = self.ports, []
        closed = [port.stopListening() for port in ports]
        self.factory.close()
        gone = self.site.connections.close()
        timer = self._reactor.callLater(self._grace, self.site.connections.abort)
        gone.addCallback(lambda _: timer.cancel() if timer.active() else None)
        return DeferredList([gone, *(each for each in closed if each is not None)])

    def _listens(self, port: IListeningPort) -> None:
        serve(port, Turns.FIRST)
        self.ports.append(port)
