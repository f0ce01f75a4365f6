"""Wait for what announces itself by no event: a row in an index, a number in the metrics, a request at a fake."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["until"]

_PAUSE_SECONDS = 0.02


def until(
    holds: Callable[[], object], seconds: float = 60, found: Callable[[], object] = lambda: "nothing to show"
) -> None:
    """Look again and again until it is so; fail after ``seconds``, which a busy machine must not reach.

    ``found`` returns what the failure is to show.
    """
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, f"it was not so within {seconds} s: {found()}"
        time.sleep(_PAUSE_SECONDS)
