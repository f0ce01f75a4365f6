"""What is remembered of upstreams has a bound: their number is up to clients."""

from __future__ import annotations

from typing import Any

__all__ = ["drop_oldest"]

# Entries of one kind at the most.
_KEPT = 10_000


def drop_oldest(kept: dict[Any, Any]) -> None:
    """Forget those that were remembered first, as many as there are too many."""
    while len(kept) > _KEPT:
        del kept[next(iter(kept))]
