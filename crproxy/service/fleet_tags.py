"""What nodes of a fleet know in common of tags, as a service: it runs while the cache is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList

from ..pullthrough.ages import OtherNodes
from .rules import RulesState

if TYPE_CHECKING:
    from ..fleet.fleet import Membership

__all__ = ["FleetTags"]


class FleetTags(Service):
    """Histories of tags, sightings of digests, and pins: ``others`` is asked before a tag is judged.

    Arguments:
        membership: where nodes meet.
        rules: what this node knows.
        reactor: the time.
        now: seconds since the epoch.
        leads: whether this worker does what only one of its node may.
    """

    def __init__(
        self, membership: Membership, rules: RulesState, reactor: Any, now: Callable[[], float], *, leads: bool
    ) -> None:
        from ..fleet.tag_histories import TagHistories
        from ..fleet.tag_pins import FleetPins

        valkey, secret = membership.valkey, membership.secret
        self._histories = TagHistories(
            valkey, secret, rules.history, reactor, now, is_wanted=lambda: rules.are_about_ages, leads=leads
        )
        self._pins = FleetPins(valkey, secret, rules.pins, reactor, now, leads=leads)
        self.others: OtherNodes = self._histories

    def startService(self) -> None:
        """Tell other nodes, and hear them."""
        super().startService()
        self._histories.start()
        self._pins.start()

    def stopService(self) -> Deferred[Any]:
        """Do neither any more; fires when nothing is under way."""
        super().stopService()
        return DeferredList([Deferred.fromCoroutine(each.stop()) for each in (self._histories, self._pins)])
