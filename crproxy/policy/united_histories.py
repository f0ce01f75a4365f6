"""What several nodes have seen of one tag, as one history: it comes out the same wherever they are put together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..oci.digests import Digest
from .minimum_age import TagChange, merged

__all__ = ["MOST_CHANGES", "bounded", "united"]

# Changes of one tag that are remembered.
MOST_CHANGES = 100
# Seconds by which one node may have heard of something later than another: of where a tag pointed before it moved, too.
_SLACK = 10.0


def united(ours: Sequence[TagChange], theirs: Sequence[TagChange]) -> list[TagChange]:
    """Return the history that two nodes have seen, the oldest first.

    What was seen first comes first; of what says the same one after the other the first counts, and the last time that
    upstream said so. A node that has only confirmed what it knew, after another one had seen the tag elsewhere, has
    seen it there again.

    Arguments:
        ours, theirs: histories, the oldest first, as their nodes have noted them.
    """
    found = merged(_in_turn(_in_order(ours), _in_order(theirs)))
    if found:
        latest = max(found, key=lambda change: change.last)
        if latest.digest != found[-1].digest and latest.last > found[-1].last + _SLACK:
            found.append(replace(latest, seen=latest.last))
    return bounded(found)


def bounded(changes: Sequence[TagChange]) -> list[TagChange]:
    """Return those that are remembered, the oldest first, where there are too many.

    What the tag points to again later goes first: of a digest its last time decides (`judge`). So a tag of which two
    mirrors say something else all the time does not forget what it pointed to before.
    """
    found = list(changes)
    while len(found) > MOST_CHANGES:
        # Until when upstream said so later.
        later: dict[Digest | None, float] = {}
        again = 0
        for number, change in reversed(list(enumerate(found))):
            last = later.get(change.digest, -math.inf)
            if last >= change.last:
                again = number
            later[change.digest] = max(last, change.last)
        del found[again]
        found = merged(found)
    return found


def _in_order(changes: Sequence[TagChange]) -> list[TagChange]:
    """Return them with times that only grow: what is seen before something else was not seen after it.

    The clock was ahead then, and has been put right since.
    """
    found: list[TagChange] = []
    for change in reversed(changes):
        seen = min(change.seen, found[-1].seen) if found else change.seen
        found.append(replace(change, seen=seen, last=max(seen, change.last)))
    return found[::-1]


def _in_turn(ours: Sequence[TagChange], theirs: Sequence[TagChange]) -> Iterator[TagChange]:
    """Give all of both in the order in which they were seen; what both have once."""
    mine, others = 0, 0
    while mine < len(ours) and others < len(theirs):
        one, other = ours[mine], theirs[others]
        if (one.seen, one.digest) == (other.seen, other.digest):
            asked_by = min((each for each in (one.asked_by, other.asked_by) if each is not None), default=None)
            yield replace(one, last=max(one.last, other.last), asked_by=asked_by)
            mine, others = mine + 1, others + 1
        elif (one.seen, str(one.digest)) < (other.seen, str(other.digest)):
            yield one
            mine += 1
        else:
            yield other
            others += 1
    yield from ours[mine:]
    yield from theirs[others:]
