"""Everything that nodes agree on through Valkey, put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import __version__
from ..config import Config, ConfigError
from ..sharing import Sharing
from ..upstream.errors import RefusedAddress
from .identity import Secret, SecretTooShort
from .leases import Leases
from .nodes import Node, Nodes
from .sharing import FleetSharing
from .tags import Tags
from .valkey import Valkey
from .watching import Watching

__all__ = ["Membership", "make_fleet"]


@dataclass(frozen=True, slots=True)
class Membership:
    """A worker's part in a fleet.

    Arguments:
        valkey: where nodes meet.
        leases: who does what.
        nodes: who is there.
        sharing: in place of the one it was made of.
        tags: where tags point.
        watching: waits for what lies in Valkey.
        secret: what all nodes know, and nobody else.
        numbers: tell what this node holds; whoever knows puts them here, by their names.
    """

    valkey: Valkey
    leases: Leases
    nodes: Nodes
    sharing: FleetSharing
    tags: Tags
    watching: Watching
    secret: Secret = field(repr=False)
    numbers: dict[str, Callable[[], float]] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        """Whether Valkey was there just now; where it is not, each node is alone."""
        return self.valkey.is_up

    def start(self) -> None:
        """Connect, and say that this node is there."""
        self.sharing.start()
        self.nodes.start()
        self.valkey.start()

    async def stop(self) -> None:
        """Give all back, say that this node is not there any more, and disconnect."""
        await self.leases.stop()
        await self.sharing.stop()
        await self.nodes.stop()
        self.watching.stop()
        self.valkey.stop()


def make_fleet(config: Config, sharing: Sharing, reactor: Any, now: Callable[[], float]) -> Membership | None:
    """Return this worker's part in the fleet, not yet started; None where the configuration names none.

    Arguments:
        sharing: what the workers of this node have in common.
        now: seconds since the epoch.

    Raises:
        ConfigError: what it takes is not installed, Valkey's TLS can be nobody's, or the secret is too short.
    """
    fleet = config.fleet
    if fleet is None:
        return None
    try:
        valkey = Valkey(fleet.valkey, fleet.prefix, reactor, now, says=sharing.leads)
    except ImportError as error:
        what = f"[fleet] takes what is not installed here ({error.name}): pip install 'crproxy[fleet]'"
        raise ConfigError(what) from None
    except RefusedAddress as error:
        raise ConfigError(f"fleet.valkey: {error}") from None
    try:
        secret = Secret(fleet.secret.encode())
    except SecretTooShort as error:
        raise ConfigError(str(error)) from None
    numbers: dict[str, Callable[[], float]] = {}

    def held() -> Mapping[str, float]:
        return {name: number() for name, number in numbers.items()}

    workers = len(os.sched_getaffinity(0)) if config.workers is None else config.workers
    watching = Watching(valkey, reactor)
    inside = FleetSharing(sharing, valkey, watching, reactor, now)
    own = Node(fleet.name, fleet.advertise, __version__, now(), workers, inside.sender.run)
    return Membership(
        valkey,
        Leases(valkey, watching, fleet.name, fleet.advertise, reactor),
        Nodes(valkey, own, held, reactor, beats=sharing.leads),
        inside,
        Tags(valkey, fleet.advertise, now),
        watching,
        secret,
        numbers,
    )
