from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from crproxy.config import Config
from crproxy.service.caching import CacheService
from crproxy.sharing import Alone
from crproxy.store.scrubbing import Scrub


class Follower(Alone):
    """A worker that another one leads."""

    leads = False


@pytest.mark.parametrize(
    ("every", "sharing", "scrubs"),
    [(86400.0, Alone(), 1), (None, Alone(), 0), (86400.0, Follower(), 0)],
    ids=["leads", "off", "follows"],
)
def test_one_worker_reads_everything_again_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: float | None, sharing: Alone, scrubs: int
) -> None:
    made: list[Any] = []
    real = Scrub.__init__

    def make(self: Scrub, *args: Any, **options: Any) -> None:
        made.append(args[1])
        real(self, *args, **options)

    monkeypatch.setattr(Scrub, "__init__", make)
    config = Config(data_dir=str(tmp_path))
    config = replace(config, cache=replace(config.cache, verify_every=every))
    service = CacheService(config, Clock(), sharing=sharing)
    assert made == [every] * scrubs
    # Whether there is one or not.
    service._look_at_what_was_found()
    service.store.index.close()
