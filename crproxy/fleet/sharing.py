"""What the workers of a fleet have in common, as a worker sees it: that of its node's, and some of it of all nodes'.

Each worker has a connection to Valkey and tells what it does itself. The one that leads has another to listen by, and
puts what other nodes tell into what the workers of its node have in common: once, however many there are. What is read
is read there, at once, and costs what it does without a fleet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..sharing import Answer, Claims, Count, Levels, Records, Sharing
from .claims import FleetClaims
from .codecs import KINDS
from .hearing import ALL, Hearing
from .kinds import COUNTS, LEVELS, Common, FleetCount, FleetRecords
from .messages import Sender
from .telling import CHANNEL, Telling
from .valkey import Valkey
from .watching import Watching

__all__ = ["CLAIMS", "FleetSharing", "run_of"]

# Claims of the fleet: who asks upstream where a tag points. Tokens are each node's own, and so are its workers.
CLAIMS = frozenset({"manifests"})


def run_of(sharing: Sharing) -> str:
    """Return what tells a daemon from all others, the same in all its workers, and another each time it is started."""
    return hashlib.sha256(b"crproxy fleet\0" + sharing.secret).hexdigest()[:16]


class FleetSharing:
    """A worker's `Sharing`, and what of it is the fleet's (crproxy.sharing.Sharing).

    Arguments:
        inside: what the workers of this node have in common.
        valkey: where nodes meet; it is not started yet.
        watching: waits for what is there.
        clock: the time.
        now: seconds since the epoch.
    """

    def __init__(
        self, inside: Sharing, valkey: Valkey, watching: Watching, clock: IReactorTime, now: Callable[[], float]
    ) -> None:
        self._inside = inside
        self._valkey = valkey
        self._watching = watching
        self._clock = clock
        self.sender = Sender(run_of(inside), inside.slot)
        self._telling = Telling(valkey, self.sender, clock, now)
        self._common = Common(inside, self._telling)
        self._hearing: Hearing | None = None
        if inside.leads:
            run = self.sender.run
            self._hearing = Hearing(valkey, self._common, inside.tell, self._telling, run, clock, now)
            valkey.subscribe(valkey.key(CHANNEL), self._hearing.hear, self._hearing.listens)

    def start(self) -> None:
        """Tell, and listen if it is for this worker."""
        self._inside.on(ALL, lambda _: self._telling.tell_all())
        self._telling.start()
        if self._hearing is not None:
            self._hearing.start()

    async def stop(self) -> None:
        """Tell that nothing is counted here any more, and forget what others have."""
        if self._hearing is not None:
            self._hearing.stop()
        await self._telling.stop()

    # Sharing

    @property
    def directory(self) -> Path | None:
        """Where the workers of this node have files (Sharing)."""
        return self._inside.directory

    @property
    def secret(self) -> bytes:
        """What the workers of this node know (Sharing)."""
        return self._inside.secret

    @property
    def slot(self) -> int:
        """Which of them this is (Sharing)."""
        return self._inside.slot

    @property
    def leads(self) -> bool:
        """Whether it does what only one of them may (Sharing)."""
        return self._inside.leads

    @property
    def is_alone(self) -> bool:
        """Whether it is the only one of this node (Sharing)."""
        return self._inside.is_alone

    def count(self, what: str) -> Count:
        """Return numbers (Sharing)."""
        return FleetCount(self._common.count(what), what, self._telling) if what in COUNTS else self._inside.count(what)

    def levels(self, what: str) -> Levels:
        """Return levels (Sharing)."""
        return self._common.levels(what) if what in LEVELS else self._inside.levels(what)

    def records(self, what: str) -> Records:
        """Return records (Sharing)."""
        if what not in KINDS:
            return self._inside.records(what)
        return FleetRecords(self._common.records(what), what, self._telling)

    def claims(self, what: str) -> Claims:
        """Return claims (Sharing)."""
        inside = self._inside.claims(what)
        if what not in CLAIMS:
            return inside
        return FleetClaims(inside, what, self._valkey, self._watching, self.sender, self._clock)

    def on(self, topic: str, answer: Answer) -> None:
        """Note who answers this node's other workers (Sharing)."""
        self._inside.on(topic, answer)

    def tell(self, topic: str, payload: Any = None) -> None:
        """Tell them (Sharing)."""
        self._inside.tell(topic, payload)

    def ask_all(self, topic: str, payload: Any = None) -> Deferred[list[Any]]:
        """Return what they answer (Sharing)."""
        return self._inside.ask_all(topic, payload)

    def ask_leader(self, topic: str, payload: Any = None) -> Deferred[Any]:
        """Return what the one that leads answers (Sharing)."""
        return self._inside.ask_leader(topic, payload)
