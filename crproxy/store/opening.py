"""A cache's store, for work outside of a daemon; and what of a cache's size its index may take."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from .blobs import Blobs
from .filling import at_once
from .index import Index
from .store import Store

__all__ = ["open_store", "row_limit"]

# The index's rows may take one part in so many of the budget, and these bytes in any case: some thousand rows.
_ROW_SHARE = 16
_ROW_LEAST = 1024 * 1024


def row_limit(budget: int) -> int:
    """Return the bytes that the index's rows may take of a budget."""
    return max(budget // _ROW_SHARE, _ROW_LEAST)


def open_store(data_dir: Path) -> Store:
    """Return the cache in ``data_dir`` for work outside of a daemon: what blocks runs where it is called."""
    index = Index(data_dir / "index.sqlite", time.time)
    return Store(Blobs(data_dir / "cache"), index, sys.maxsize, at_once)
