"""What a flight tells who began it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .shared import Shared

__all__ = ["Told"]


def _nothing(*_: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told of a flight.

    Arguments:
        arrived: called with it when all of it came and was right, before anybody else is told.
        asks_upstream: called whenever it, and not another worker's, is about to have upstream send the bytes.
        ended: called with it when it has ended, whatever the end.
    """

    arrived: Callable[[Shared], object] = _nothing
    asks_upstream: Callable[[], object] = _nothing
    ended: Callable[[Shared], object] = _nothing
