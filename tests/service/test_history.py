from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock

from crproxy.config import Config
from crproxy.metrics.labels import Registries
from crproxy.metrics.requests import Requests
from crproxy.policy.audit import CacheState, Ending, Record
from crproxy.policy.history import DAY, Totals
from crproxy.service.history import HistoryService, totals_of
from tests.logs import Log

EPOCH = 1_800_000_000.0


class Counted:
    """A daemon's counters, and a service that notes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.totals = Totals()
        self.service = self.make()

    def make(self) -> HistoryService:
        return HistoryService(self.path, lambda: self.totals, self.clock, now=lambda: EPOCH + self.clock.seconds())

    def of_the_day(self) -> Totals:
        found = Totals()
        for bucket in self.service.look().buckets(DAY, EPOCH + self.clock.seconds()):
            found = found.plus(bucket.totals)
        return found

    def pass_minutes(self, number: int) -> None:
        for _ in range(number):
            self.clock.advance(60)


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    return Counted(tmp_path / "history.json")


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def test_what_is_counted_is_noted_each_minute(counted: Counted) -> None:
    counted.service.startService()
    counted.totals = Totals(1, 1, 10, 5)
    counted.pass_minutes(1)
    assert counted.service.history.last == counted.totals
    assert counted.of_the_day() == counted.totals
    counted.service.stopService()


def test_it_outlasts_a_restart_in_which_counters_begin_anew(counted: Counted) -> None:
    counted.service.startService()
    counted.totals = Totals(4, 2, 100, 50)
    counted.service.stopService()
    counted.totals = Totals()
    counted.service = counted.make()
    counted.service.startService()
    assert counted.of_the_day() == Totals(4, 2, 100, 50)
    counted.totals = Totals(1, 1, 1, 1)
    assert counted.of_the_day() == Totals(5, 3, 101, 51)
    counted.service.stopService()


def test_a_worker_that_takes_the_leaders_place_counts_nothing_twice(counted: Counted) -> None:
    counted.service.startService()
    counted.totals = Totals(4, 2, 100, 50)
    counted.pass_minutes(5)
    # The leader was killed, and the counters go on.
    counted.service = counted.make()
    counted.service.startService()
    counted.totals = Totals(5, 2, 100, 50)
    assert counted.of_the_day() == Totals(5, 2, 100, 50)
    counted.service.stopService()


def test_it_is_written_each_five_minutes_for_nobody_else_to_read(counted: Counted) -> None:
    counted.service.startService()
    counted.pass_minutes(3)
    assert not counted.path.exists()
    counted.pass_minutes(2)
    assert stat.S_IMODE(counted.path.stat().st_mode) == 0o600
    assert json.loads(counted.path.read_text())["version"] == 1
    assert list(counted.path.parent.iterdir()) == [counted.path]
    counted.service.stopService()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 9}', "\x00"])
def test_a_damaged_file_is_begun_anew(counted: Counted, log: Log, content: str) -> None:
    counted.path.write_text(content)
    counted.service.startService()
    counted.service.stopService()
    assert any("is begun anew" in line for line in log.lines)
    assert json.loads(counted.path.read_text())["version"] == 1


def test_what_cannot_be_written_is_told_once(counted: Counted, log: Log) -> None:
    counted.path.with_suffix(".new").mkdir()
    counted.service.startService()
    counted.pass_minutes(20)
    counted.service.stopService()
    assert sum("the history cannot be written" in line for line in log.lines) == 1


def test_what_cannot_be_counted_stops_nothing(counted: Counted, log: Log) -> None:
    counted.service.startService()
    before, counted.service._read = counted.service._read, lambda: 1 / 0  # type: ignore[assignment,return-value]
    counted.pass_minutes(1)
    counted.service._read = before
    counted.totals = Totals(1, 0, 1, 1)
    counted.pass_minutes(1)
    assert counted.of_the_day() == counted.totals
    assert any("what was counted is not noted" in line for line in log.lines)
    counted.service.stopService()


def record(cache: CacheState | None, sent: int) -> Record:
    return Record(
        0.0, "registry", "192.0.2.1", None, "GET", "/v2/", "HTTP/1.1", None, None, "quay.io", "a/b", "v1", 200, sent,
        0.1, cache, Ending.WHOLE,
    )  # fmt: skip


def test_pages_are_nothing_that_was_served() -> None:
    registry = CollectorRegistry()
    requests = Requests(registry, Registries(Config))
    for cache, sent in ((CacheState.HIT, 10), (CacheState.MISS, 20), (None, 1000)):
        requests.observe(record(cache, sent))
    assert totals_of(registry.collect()) == Totals(2, 1, 30, 0)
