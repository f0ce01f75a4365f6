"""What a daemon has in common with other nodes, put together for those who answer: or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ..flights.tiers import Elsewhere
from ..metrics import CommonReadings, FleetNumbers, StorageNumbers
from ..policy.freshness import Lifetimes
from ..pullthrough.ages import OtherNodes
from ..pullthrough.recall import Recall
from ..store.store import Store
from ..store.tag_history import TagHistory
from ..web import page

if TYPE_CHECKING:
    from ..fleet.fleet_news import FleetNews
    from ..fleet.second_tier import SecondTier, TierSigner
    from .caching import CacheService
    from .fleet import FleetService
    from .fleet_tags import FleetTags
    from .second_tier import SecondTierService

__all__ = ["Commons"]


@dataclass(frozen=True, slots=True)
class Commons:
    """What there is.

    Arguments:
        fleet: other nodes.
        tier: the object store.
        objects: what is there, and what nodes tell each other.
        signer: makes URLs of the store for clients.
    """

    fleet: FleetService | None = None
    tier: SecondTierService | None = None
    objects: SecondTier | None = None
    signer: TierSigner | None = None

    @classmethod
    def of(
        cls, fleet: FleetService | None, tier: SecondTierService | None, reactor: Any, redirect_ttl: float | None
    ) -> Self:
        """Return what these make together.

        Arguments:
            redirect_ttl: seconds that a URL for clients lasts; None sends them nowhere.
        """
        if fleet is None and tier is None:
            return cls()
        from ..fleet.second_tier import SecondTier, TierSigner

        store = None if tier is None else tier.tier
        objects = SecondTier(store)
        if fleet is not None:
            objects = SecondTier(store, fleet.membership.tags.look, fleet.read_from_node)
        signer = None if store is None or redirect_ttl is None else TierSigner(store, redirect_ttl, reactor)
        return cls(fleet, tier, objects, signer)

    @property
    def elsewhere(self) -> Elsewhere:
        """Where flights find bytes besides upstream."""
        objects = None if self.tier is None else self.objects
        if self.fleet is None:
            return Elsewhere(store=objects)
        return Elsewhere(self.fleet.leases, self.fleet.nodes, objects)

    @property
    def token_key(self) -> Callable[[], bytes] | None:
        """What returns the key of clients' tokens, which are good at each node; None where there are no others."""
        return None if self.fleet is None else self.fleet.token_key

    @property
    def has_nodes(self) -> bool:
        """Whether there are other nodes."""
        return self.fleet is not None

    @property
    def tags(self) -> FleetTags | None:
        """What nodes know in common of tags, once `attach` was called; None where there are no others."""
        return None if self.fleet is None else self.fleet.tags

    @property
    def others(self) -> OtherNodes | None:
        """What is asked before a tag is judged; None where there are no others."""
        return None if self.tags is None else self.tags.others

    def attach(self, cache: CacheService) -> None:
        """Have others find what is kept in ``cache``."""
        if self.fleet is not None:
            self.fleet.attach(cache)
            census, numbers = self.fleet.census, self.fleet.membership.numbers
            census.holds["flights"] = lambda: cache.flights.number
            numbers["flights"] = lambda: census.total("flights")
            numbers["stored"] = cache.store.index.bytes_stored
        if self.tier is None:
            return
        if self.fleet is None:
            self.tier.attach(cache)
        else:
            self.tier.attach(cache, self.fleet.may_tidy, self.fleet.uses())
            self.tier.on_over.append(self.fleet.flight_leases.is_elsewhere)

    def readings(self, received: Callable[[], int]) -> CommonReadings | None:
        """Return what monitoring reads; None where there is nothing.

        Arguments:
            received: returns the bytes that upstreams have sent.
        """
        if self.fleet is None and self.tier is None:
            return None
        return CommonReadings(self._fleet_numbers, self._storage_numbers, received)

    def _fleet_numbers(self) -> FleetNumbers | None:
        return None if self.fleet is None else self.fleet.numbers()

    def _storage_numbers(self) -> StorageNumbers | None:
        if self.tier is None:
            return None
        return self.tier.numbers(0 if self.signer is None else self.signer.given)

    def state(self) -> tuple[page.Fleet | None, page.Storage | None]:
        """Return what the page shows of other nodes, and of the object store; None where there are none."""
        fleet = None if self.fleet is None else self.fleet.state()
        return fleet, None if self.tier is None else self.tier.state()

    async def describe_fleet(self) -> dict[str, Any] | None:
        """Return what the operator is shown of other nodes; None where there are none."""
        return None if self.fleet is None else await self.fleet.describe()

    async def describe_storage(self) -> dict[str, Any] | None:
        """Return what the operator is shown of the object store; None where there is none."""
        return None if self.tier is None else await self.tier.describe()

    def recall(
        self, store: Store, lifetimes: Lifetimes, reactor: Any, now: Callable[[], float], history: TagHistory
    ) -> Recall | None:
        """Return what looks up what other nodes know; None where there are none."""
        return None if self.objects is None else Recall(self.objects, store, lifetimes, reactor, now, history)

    def news(self, recall: Recall | None) -> FleetNews | None:
        """Return what tells other nodes of tags, and what they have told; None where there are none."""
        if self.fleet is None or recall is None:
            return None
        from ..fleet.fleet_news import FleetNews

        return FleetNews(self.fleet.membership.tags, recall)
