"""An object store in memory: obstore's own, asked where it is called."""

from __future__ import annotations

import pytest
from obstore.store import MemoryStore
from twisted.internet.task import Clock

from crproxy.objects.object_store import ObjectStore
from crproxy.objects.opening import Stores
from tests.stores import threads


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def objects(memory: MemoryStore, clock: Clock) -> ObjectStore:
    return ObjectStore(Stores(memory, memory, signs=False), threads, clock)
