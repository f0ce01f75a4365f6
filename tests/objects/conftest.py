"""An object store in memory, or in a directory: obstore's own, asked where it is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore
from twisted.internet.task import Clock

from crproxy.objects.object_store import ObjectStore
from crproxy.objects.opening import Stores
from tests.stores import threads


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "files"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryStore | LocalStore:
    return MemoryStore() if request.param == "memory" else LocalStore(tmp_path / "objects", mkdir=True)


@pytest.fixture
def objects(memory: MemoryStore, clock: Clock) -> ObjectStore:
    return ObjectStore(Stores(memory, memory, signs=False), threads, clock)
