"""The seam between a worker and whatever other workers its daemon has: a worker never needs to know which.

Numbers and records are seen by all at once; what is told reaches each of the others soon. Knows nothing of what they
mean, nor of processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred

__all__ = ["REPLACED", "SECRET_BYTES", "Answer", "Claims", "Count", "Level", "Levels", "Records", "Sharing"]

# Is told to all when another worker has taken the place of one that had served clients.
REPLACED = "replaced"

# Of what all workers know and nobody else.
SECRET_BYTES = 64

# Answers what is asked or told under some topic: with what it returns, or a Deferred of it.
Answer = Callable[[Any], Any]


class Count(Protocol):
    """Numbers by name; those that are 0 take no room. What a worker has added goes when it dies."""

    def __len__(self) -> int:
        """Return how many names have any."""

    def of(self, name: str) -> int:
        """Return the number, of all workers together."""

    def add(self, name: str, number: int = 1) -> int:
        """There are so many more; return how many there are now, of all workers together."""

    def remove(self, name: str, number: int = 1) -> None:
        """There are so many less."""


class Level(Protocol):
    """What fills with each use and drains with time (see crproxy.limits.buckets)."""

    def fill(self, amount: float, rate: float | None, now: float, most: float = math.inf) -> float:
        """Let drain what has by ``now`` (seconds), then add ``amount``; return how much there is.

        Arguments:
            rate: what drains in a second; None is all at once.
            most: where there would be more than this, nothing is added; what there would be is returned all the same.
        """


class Levels(Protocol):
    """Levels by name, empty where nothing was put in."""

    def level(self, name: str) -> Level:
        """Return the level of that name."""


class Records(Protocol):
    """Values by key, some thousand at the most: beyond it some are forgotten. Keys are told apart by their repr()."""

    def get(self, key: Any) -> Any:
        """Return the value; None where there is none."""

    def put(self, key: Any, value: Any) -> None:
        """Have ``value`` be the one."""

    def drop(self, key: Any) -> None:
        """Have none."""

    def all(self) -> dict[Any, Any]:
        """Return all that there are."""


class Claims(Protocol):
    """Work by its name that one worker does at a time, so that the others need not. Those of the dead are nobody's."""

    def take(self, name: str) -> Deferred[bool]:
        """Return once this worker has the claim; tell whether another had it before, and so may have done the work.

        Who has had it for too long need not be waited for. It is had until `give_back`, as often as it was taken.
        """

    def give_back(self, name: str) -> None:
        """Have it no more."""


class Sharing(Protocol):
    """What the workers of one daemon have in common.

    ``slot`` is which one this is, from 0 on; ``leads``: it does what only one of them may do; ``is_alone``: there are
    no others; ``secret``: bytes that all of them know, and that end with the daemon; ``directory``: where they have
    files and sockets that nobody else may look at, in memory, None where there are no others.
    """

    @property
    def directory(self) -> Path | None:
        """Where they have files and sockets."""

    @property
    def secret(self) -> bytes:
        """What all of them know."""

    @property
    def slot(self) -> int:
        """Which one this is."""

    @property
    def leads(self) -> bool:
        """Whether it does what only one may."""

    @property
    def is_alone(self) -> bool:
        """Whether there are no others."""

    def count(self, what: str) -> Count:
        """Return the numbers that are called so."""

    def levels(self, what: str) -> Levels:
        """Return the levels that are called so."""

    def records(self, what: str) -> Records:
        """Return the records that are called so."""

    def claims(self, what: str) -> Claims:
        """Return the claims to work that is called so."""

    def on(self, topic: str, answer: Answer) -> None:
        """Call ``answer`` with what is told or asked under ``topic``, and no other from now on."""

    def tell(self, topic: str, payload: Any = None) -> None:
        """Tell all others. What none of them listens to is nobody's."""

    def ask_all(self, topic: str, payload: Any = None) -> Deferred[list[Any]]:
        """Return what the others answer; of those that do not in time, nothing."""

    def ask_leader(self, topic: str, payload: Any = None) -> Deferred[Any]:
        """Return what the leader answers, be it this one. Fails as its answer does, or where it is not there."""
