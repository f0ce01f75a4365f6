"""A worker on a reactor in memory that has something in common with others: an object store in a directory, a fleet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from crproxy.config import Config, Fleet, Listen, Storage, ValkeyAddress
from crproxy.policy.descriptors import Descriptors
from crproxy.service import caching, second_tier
from crproxy.service.caching import CacheService
from crproxy.service.fleet import FleetService
from crproxy.service.second_tier import SecondTierService
from crproxy.sharing import Alone
from tests.service.test_assembly import Reactor
from tests.stores import threads

__all__ = ["BOUNDS", "FLEET", "InCommon"]

FLEET = Fleet(ValkeyAddress("192.0.2.1", 6379), "https://a.test:1", ("tcp:1",), "0123456789abcdef" * 4, "a")
BOUNDS = Descriptors.of(1024, fleet=True, store=True)


class InCommon:
    """Makes parts of one worker. ``trouble`` is what the object store's threads fail with, while it is something.

    Arguments:
        monkeypatch: has blocking work done where it is called.
        directory: of the cache, the outbox and the object store.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, sharing: Any = None, **storage: Any) -> None:
        self.reactor = Reactor()
        self.sharing = sharing or Alone()
        self.trouble: Exception | None = None
        self.objects = directory / "objects"
        self.storage = Storage(f"file://{self.objects}", **storage)
        self.config = Config(data_dir=str(directory), listen=Listen((), admin=""), storage=self.storage, fleet=FLEET)
        monkeypatch.setattr(second_tier, "deferToThreadPool", self._work)
        monkeypatch.setattr(caching, "deferToThreadPool", lambda _reactor, _pool, work, *args: threads(work, *args))

    def now(self) -> float:
        return 1_800_000_000.0 + self.reactor.seconds()

    def cache(self) -> CacheService:
        return CacheService(self.config, self.reactor, now=self.now, sharing=self.sharing)

    def tier(self) -> SecondTierService:
        return SecondTierService(self.config, self.storage, self.reactor, self.now, self.sharing)

    def fleet(self) -> FleetService:
        return FleetService(self.config, FLEET, self.reactor, self.now, self.sharing, BOUNDS)

    def kept(self) -> list[Path]:
        """The objects that there are."""
        return [path for path in self.objects.rglob("*") if path.is_file()]

    def _work(self, reactor: Any, pool: Any, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return threads(work, *args) if self.trouble is None else fail(self.trouble)
