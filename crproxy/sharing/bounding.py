"""What is remembered has a bound: how much there would be is up to clients."""

from __future__ import annotations

from typing import Any

__all__ = ["KEPT", "drop_oldest"]

# Entries of one kind at the most.
KEPT = 10_000


def drop_oldest(kept: dict[Any, Any]) -> None:
    """Forget those that were remembered first, as many as there are too many."""
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
