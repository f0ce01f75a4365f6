"""Flights into a store of the test's own, and what readers of them get."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.flights import Flight, Flights
from crproxy.policy.ranges import Slice
from crproxy.store.entries import Entry
from crproxy.store.store import Store
from tests.memory import ended
from tests.stores import make_dependencies, make_store
from tests.upstream.conftest import Consumer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return make_store(tmp_path, clock)


@pytest.fixture
def flights(store: Store, clock: Clock) -> Flights:
    return Flights(make_dependencies(store, clock))


@pytest.fixture
def nothing_is_left_open(flights: Flights, clock: Clock, tmp_path: Path) -> Iterator[None]:
    yield
    ended(flights.stop())
    clock.advance(0.02)
    assert open_files(tmp_path / "cache") == []
    assert clock.getDelayedCalls() == []


def open_files(root: Path) -> list[str]:
    """What this process has open below `root`."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(link.readlink()))
    return [name for name in names if name.startswith(str(root))]


def reading(flight: Flight, part: Slice | None = None) -> tuple[Consumer, Deferred[None]]:
    consumer = Consumer()
    return consumer, flight.reader(part).join(consumer)


def whole(store: Store, entry: Entry) -> bytes | None:
    opened = store.open(entry)
    if opened is None:
        return None
    with os.fdopen(opened.fd, "rb") as file:
        return file.read()
