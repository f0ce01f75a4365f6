"""A worker's part in a fleet as a service: what it agrees on with other nodes, and what it gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IProtocolFactory

from .. import __version__
from ..config import Config, ConfigError, Fleet
from ..flights.tiers import Leases, Nodes
from ..metrics import FleetNumbers
from ..policy.audit import Record
from ..policy.descriptors import Descriptors
from ..sharing import Sharing
from ..store.blobs import PartialKey
from ..store.entries import Entry
from ..web import page
from ..web.site import PlainSite
from .census import Census
from .fleet_tags import FleetTags

if TYPE_CHECKING:
    from ..fleet.fleet import Membership
    from ..fleet.leases import Lease
    from ..fleet.nodes_only import NodesOnly
    from ..objects.janitor import Turn
    from ..objects.uses import CommonUses
    from .caching import CacheService

__all__ = ["FleetService"]

# Seconds that another node may take for a header, and between two pieces of a body. What it waits for may be
# upstream's; but one that hangs has lost its lease after three, and somebody else goes on.
_PATIENCE = 15.0
# Bytes of a manifest or a list, at the most.
_LARGEST = 20 * 1024 * 1024
# What one node may do for all: to keep the object store within its size.
_TIDIES = "janitor"
# What the halves of the key of clients' tokens are for.
_TOKEN_PURPOSES = ("signatures of clients' tokens", "what is sealed in clients' tokens")


class FleetService(Service):
    """What a worker has to do with other nodes. ``sharing`` takes the place of the one that it is made of.

    Arguments:
        config: where they meet.
        reactor: the time, and connections.
        now: seconds since the epoch.
        sharing: what the workers of this node have in common.
        bounds: how many connections with other nodes there may be.

    Raises:
        ConfigError: what it takes is not installed, or the secret is too short.
    """

    def __init__(
        self,
        config: Config,
        fleet: Fleet,
        reactor: Any,
        now: Callable[[], float],
        sharing: Sharing,
        bounds: Descriptors,
    ) -> None:
        try:
            from ..fleet.fleet import make_fleet
        except ImportError as error:
            what = f"[fleet] takes what is not installed here ({error.name}): pip install 'crproxy[fleet]'"
            raise ConfigError(what) from None
        from ..fleet.asking_nodes import AskingNodes
        from ..fleet.flight_leases import FlightLeases, OtherNodes

        membership = make_fleet(config, sharing, reactor, now)
        if membership is None:
            raise ConfigError("no fleet is configured")
        self._identity = membership.secret.identity(now())
        self._fleet = fleet
        self._reactor = reactor
        self._now = now
        headers, idle = (min(seconds, _PATIENCE) for seconds in (config.timeouts.headers, config.timeouts.idle))
        self._asking = AskingNodes(self._identity.client, headers, idle, reactor, bounds.to_nodes)
        self._most_let_in = max(1, bounds.from_nodes // max(1, len(fleet.listen)))
        self._tidies: Lease | None = None
        self._nodes_only: list[NodesOnly] = []
        self._answers_given = self._bytes_given = 0
        self.membership: Membership = membership
        self.sharing: Sharing = membership.sharing
        self.flight_leases = FlightLeases(membership.leases, fleet.name, reactor)
        self.leases: Leases = self.flight_leases
        self.nodes: Nodes = OtherNodes(self._asking)
        self.tags: FleetTags | None = None
        self._leads = sharing.leads
        self.census = Census(membership.nodes.nodes, sharing, reactor)
        self.census.holds["leases"] = lambda: len(membership.leases)

    def attach(self, cache: CacheService) -> None:
        """Have what ``cache`` knows of tags be known to all; ``tags`` does it, as a service of its own."""
        self.tags = FleetTags(self.membership, cache.rules, self._reactor, self._now, leads=self._leads)

    def site(self, cache: CacheService) -> PlainSite:
        """Return what gives other nodes what is in ``cache``, or on its way there."""
        from ..fleet.about import About
        from ..fleet.having import Having
        from ..fleet.node_site import make_node_site

        def about() -> About:
            return About(self._fleet.name, __version__, cache.flights.number, cache.store.index.bytes_stored())

        return make_node_site(Having(cache.store, cache.flights), about, self._reactor, observe=self._observe)

    def lets_in(self, site: PlainSite) -> IProtocolFactory:
        """Return ``site`` behind what lets nodes in alone."""
        from ..fleet.nodes_only import NodesOnly

        nodes_only = NodesOnly(site, self._identity.server, self._reactor, self._most_let_in)
        self._nodes_only.append(nodes_only)
        return nodes_only

    def token_key(self) -> bytes:
        """Return what clients' tokens are signed and sealed with (crproxy.login.signing): the same on each node."""
        return b"".join(self.membership.secret.derive(purpose) for purpose in _TOKEN_PURPOSES)

    async def read_from_node(self, url: str, entry: Entry) -> bytes | None:
        """Return small content that the node at ``url`` has, unchecked; None where it does not give it."""
        return await self._asking.read(url, PartialKey(entry), _LARGEST)

    async def describe(self) -> dict[str, Any]:
        """Return what the operator is shown of it."""
        membership = self.membership
        return {
            "node": self._fleet.name,
            "valkey": str(self._fleet.valkey),
            "up": membership.is_up,
            "leases": self.census.total("leases"),
            "nodes": [asdict(node) for node in await membership.nodes.nodes()],
        }

    def numbers(self) -> FleetNumbers:
        """Return what monitoring is told of this worker's part in it."""
        return FleetNumbers(
            is_up=self.membership.is_up,
            nodes=max(1, len(self.census.nodes)),
            leases=len(self.membership.leases),
            refused=sum(each.refused for each in self._nodes_only),
            answers=self._asking.answers,
            bytes=self._asking.bytes_received,
            answers_given=self._answers_given,
            bytes_given=self._bytes_given,
        )

    def state(self) -> page.Fleet:
        """Return what the page shows of it."""
        nodes = (
            page.Node(each.name, each.version, each.fetches, each.stored, each.name == self._fleet.name)
            for each in self.census.nodes
        )
        return page.Fleet(self.membership.is_up, self.census.total("leases"), tuple(nodes))

    async def may_tidy(self) -> Turn | None:
        """Tell whether this node is the one that keeps the object store within its size, and how long it is."""
        from ..fleet.leases import Lease

        if self._tidies is None or not self._tidies.is_ours:
            # Where the nodes cannot agree, none does.
            found = await self.membership.leases.take(_TIDIES)
            self._tidies = found if isinstance(found, Lease) else None
        lease = self._tidies
        return None if lease is None else lambda: lease.is_ours

    def uses(self) -> CommonUses:
        """Return what nodes tell each other of what they use in the object store."""
        from ..fleet.used import UsedObjects

        return UsedObjects(self.membership.valkey, self._now)

    def startService(self) -> None:
        """Connect to where nodes meet."""
        super().startService()
        self.membership.start()
        self.census.startService()

    def stopService(self) -> Deferred[Any]:
        """Leave the fleet; fires when that is done."""
        super().stopService()
        self.flight_leases.stop()
        self.census.stopService()
        for each in self._nodes_only:
            each.close()
        return DeferredList([Deferred.fromCoroutine(self.membership.stop()), self._asking.close()])

    def _observe(self, record: Record) -> None:
        self._answers_given += 1
        self._bytes_given += record.sent
