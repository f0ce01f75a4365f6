"""The object store as a service: how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from crproxy.config import Config, Storage
from crproxy.service.second_tier import SecondTierService
from crproxy.sharing import Alone
from tests.memory import ended, not_yet


class _Upload:
    """One that is under way until it is told that it is not."""

    def __init__(self) -> None:
        self.over: Deferred[None] = Deferred()

    def start(self) -> None:
        """It has begun."""

    def stop(self) -> Deferred[None]:
        return self.over


class _Cache(Service):
    def stopService(self) -> Deferred[None]:
        super().stopService()
        return succeed(None)


def test_threads_end_when_nothing_is_uploaded_any_more(tmp_path: Path) -> None:
    (tmp_path / "tier").mkdir()
    clock, upload, cache = Clock(), _Upload(), _Cache()
    storage = Storage(f"file://{tmp_path / 'tier'}")
    tier = SecondTierService(Config(data_dir=str(tmp_path)), storage, clock, clock.seconds, Alone())
    tier.uploading = cast(Any, upload)
    whole = tier.beside(cache)
    whole.startService()
    stopped = whole.stopService()
    assert not_yet(stopped)
    # The cache does not wait for a store that hangs.
    assert (cache.running, tier.threads.pool.started) == (False, True)
    upload.over.callback(None)
    ended(stopped)
    assert not tier.threads.pool.started
