"""When a blob is asked for over several connections at once, and in what parts.

Some upstreams send no more than so much on one connection: a CDN that slows each, or a long way that loses packets,
which holds a single connection below what the line could carry (RFC 9293, 3.8.2; Mathis et al., 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Bounds", "is_gain", "is_stuck"]

_MIB = 1024 * 1024

# A connection that brings more than this over its last rate is still on its way up (slow start, RFC 5681, 3.1).
_STEADY = 1.25
# Seconds that one connection must have to go on by itself for others to be worth their requests.
_WORTH = 4.0
# Seconds of its connection that a part is: the time for a request, with its redirect, is small beside it. Not less than
# the second of these even where all connections would be done together that way.
_SECONDS = 3.0
_LEAST_SECONDS = 0.5
# Several connections bring so many times what one did, or the narrow place is elsewhere.
_GAIN = 1.25
# One that brings less than this part of what is usual is not worth waiting for.
_STUCK = 0.25


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which blobs, and how much at a time, in bytes.

    Arguments:
        large: only blobs of more than these,
        left: and only while there are so many to come.
        fast: a connection that brings so many in a second is not slow.
        least: the smallest part that is asked for, but for the last one.
        most: the largest.
        held: what one transfer holds at a time, of which it is not the turn.
    """

    large: int = 64 * _MIB
    left: int = 32 * _MIB
    fast: float = 48 * _MIB
    least: int = 1 * _MIB
    most: int = 16 * _MIB
    held: int = 48 * _MIB

    def is_slow(self, size: int, left: int, rate: float, before: float) -> bool:
        """Tell whether one connection is slow enough, and enough is left, for others to help it.

        Arguments:
            size: of the whole blob.
            left: bytes of it that are still to come.
            rate: bytes per second that the connection made lately. One that stands still is not helped by others.
            before: what it made just before that.
        """
        if size <= self.large or left < self.left or not 0 < rate < self.fast:
            return False
        return rate <= before * _STEADY and left > rate * _WORTH

    def length(self, rate: float, left: int, connections: int, room: int) -> int:
        """Return how many bytes the next part has; 0 where there is no room for one.

        Arguments:
            rate: bytes per second of one connection.
            left: bytes that nobody was asked for yet.
            connections: over how many they come, which are to be done at about the same time.
            room: bytes of memory there are.
        """
        least = max(self.least, min(int(rate * _LEAST_SECONDS), self.most))
        wanted = max(least, min(int(rate * _SECONDS), self.most, -(-left // connections)))
        length = min(wanted, left, room)
        return length if length == left or length >= self.least else 0


def is_gain(rate: float, of_one: float) -> bool:
    """Tell whether several connections, with ``rate`` bytes per second, bring more than the one did."""
    return rate >= of_one * _GAIN


def is_stuck(gained: int, seconds: float, rate: float) -> bool:
    """Tell whether a connection that all others wait for is not worth waiting for.

    Arguments:
        gained: bytes that came over it,
        seconds: in this time.
        rate: bytes per second that a connection brings usually.
    """
    return gained < rate * seconds * _STUCK
