from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from crproxy import __version__
from crproxy.config import Config
from crproxy.metrics import Meters
from crproxy.metrics.exposition import Exposition
from crproxy.metrics.gathering import Gathering
from crproxy.sharing import Alone, Sharing
from crproxy.web.branch import Branch
from crproxy.web.site import PlainSite
from tests.logs import Log
from tests.memory import Network
from tests.web.conftest import Browser, Received


def opened(meters: Meters, sharing: Sharing) -> Browser:
    """A connection to where they are."""
    root = Branch()
    root.putChild(b"metrics", Exposition(Gathering(meters.registry, sharing, Clock())))
    return Browser(PlainSite.make(root, "metrics", Clock(), None), Network())


def asked(meters: Meters, *lines: str) -> Received:
    return opened(meters, Alone()).get("/metrics", *lines)


class Others(Alone):
    """A worker whose others have answered when the test says so."""

    is_alone = False

    def __init__(self, answers: Deferred[list[Any]]) -> None:
        super().__init__()
        self.answers = answers

    def ask_all(self, topic: str, payload: Any = None) -> Deferred[list[Any]]:
        return self.answers


def test_prometheus_can_read_it() -> None:
    meters = Meters(Config)
    meters.lag(3)
    received = asked(meters)
    assert (received.status, received.one("Server")) == (200, f"crproxy/{__version__}")
    assert received.one("Content-Length") == str(len(received.body))
    families = {family.name: family for family in text_string_to_metric_families(received.body.decode())}
    assert families["crproxy_reactor_lag_seconds"].samples[-1].value == 3
    assert not [name for name in families if name.endswith("_created")]
    assert "process_cpu_seconds" in families


@pytest.mark.parametrize(
    ("accepted", "media_type"),
    [
        ([], "text/plain; version=0.0.4"),
        (["Accept: application/openmetrics-text;version=1.0.0"], "application/openmetrics-text"),
    ],
)
def test_it_is_written_as_it_is_asked_for(accepted: list[str], media_type: str) -> None:
    assert (asked(Meters(Config), *accepted).one("Content-Type") or "").startswith(media_type)


def test_it_is_written_when_the_others_have_answered() -> None:
    meters, answers = Meters(Config), Deferred[list[Any]]()
    meters.lag(1)
    browser = opened(meters, Others(answers))
    browser.ask("/metrics")
    assert browser.silent
    other = Meters(Config)
    other.lag(2)
    answers.callback([(1, list(other.registry.collect()))])
    assert b"crproxy_reactor_lag_seconds_sum 3.0\n" in browser.received().body


def test_who_leaves_before_that_is_nobodys_failure() -> None:
    cancelled: list[Deferred[Any]] = []
    browser = opened(Meters(Config), Others(Deferred(cancelled.append)))
    with Log() as log:
        browser.ask("/metrics")
        browser.leave()
        assert log.complaints == []
    assert len(cancelled) == 1
    assert browser.silent


def test_what_goes_wrong_is_told_and_logged() -> None:
    browser = opened(Meters(Config), Others(fail(ZeroDivisionError())))
    with Log() as log:
        assert browser.get("/metrics").status == 500
        assert log.complaints == ["the metrics cannot be told"]
    assert log.failures == [ZeroDivisionError]
