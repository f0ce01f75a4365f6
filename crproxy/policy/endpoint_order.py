"""Which of a registry's endpoints is asked, and in what order; and which of them is to blame for wrong bytes.

An endpoint is known here by its place in the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BLAME_SECONDS",
    "REST_SECONDS",
    "SLOW_SECONDS",
    "Failed",
    "Health",
    "counts",
    "in_order",
    "that_counts",
    "to_blame",
]

# Seconds for which the header of an answer is waited for while there is another endpoint to ask.
SLOW_SECONDS = 3.0
# Seconds for which an endpoint that could not be asked is asked last: such troubles take minutes, and one question in
# half a minute shows soon enough that they are over.
REST_SECONDS = 30.0
# Seconds for which one that gave wrong bytes is not asked for them again: a copy that is bad stays so until somebody
# looks at it.
BLAME_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of an endpoint when something is to be asked.

    Arguments:
        trust_tags: its word on tags counts.
        rests: it could not be asked just now.
        blamed: when it gave wrong bytes where it was asked for the same, in seconds since the epoch; None: it did not.
    """

    trust_tags: bool = True
    rests: bool = False
    blamed: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """How an endpoint has failed.

    Arguments:
        denied: it has refused who asked.
        has_login: that was the proxy, by a name of its own.
    """

    denied: bool
    has_login: bool


def in_order(health: Sequence[Health], *, by_digest: bool) -> list[int]:
    """Return the places of those that are asked, the first of them first.

    Those that rest come last. One that gave wrong bytes is not asked for them again, unless all did: then each is once
    more, and first the one of which that is known for the longest time, as what is wrong may have been put right.

    Arguments:
        health: in the configuration's order; of one of them at least tags are trusted.
        by_digest: what is asked for is named by its digest, so that it does not matter who gives it.
    """
    asked = [place for place, one in enumerate(health) if by_digest or one.trust_tags]
    innocent = [place for place in asked if health[place].blamed is None]
    if innocent:
        return sorted(innocent, key=lambda place: health[place].rests)
    return sorted(asked, key=lambda place: health[place].blamed or 0.0)


def that_counts(failed: Sequence[Failed]) -> int:
    """Return the place of the one whose word counts where all have failed, in the configuration's order.

    It is the last, but for one thing: where the last that has a login refuses that login, what it opened before is not
    to be served any more, whatever one without a login says of it.
    """
    with_login = [place for place, one in enumerate(failed) if one.has_login]
    return with_login[-1] if with_login and failed[with_login[-1]].denied else len(failed) - 1


def to_blame(givers: Sequence[int]) -> list[int]:
    """Return the places of those that are blamed where the bytes that all of ``givers`` gave together are wrong.

    Which of several it was nobody can tell: the last in the configuration's order, which mostly is the registry itself,
    is not blamed before it was asked for all of them.
    """
    in_configurations_order = sorted(set(givers))
    return in_configurations_order[:-1] or in_configurations_order


def counts(noted: float, now: float, seconds: float) -> bool:
    """Tell whether what was ``noted`` counts for so many seconds still: a time to come is one of a clock set back."""
    return now - seconds < noted <= now
