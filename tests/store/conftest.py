"""A small store, and what it writes into the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from crproxy.store.store import Store
from tests.logs import Log
from tests.stores import make_store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return make_store(tmp_path, clock, budget=100)


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log
