from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.web.server import Request

from crproxy.admin.page import Pull
from crproxy.oci.names import Registry
from crproxy.policy.audit import Ending, Record
from crproxy.service.traffic import Traffic
from crproxy.web.branch import Branch
from crproxy.web.request import note_image, note_user
from crproxy.web.site import PlainSite
from tests.memory import Network
from tests.web.conftest import Browser

MANIFEST = Record(
    10.0, "registry", "192.0.2.1", None, "GET", "/v2/org/app/manifests/v1", "HTTP/1.1", None, None, "quay.io",
    "org/app", "v1", 200, 10, 0.5, None, Ending.WHOLE,
)  # fmt: skip
KEY = ("quay.io/org/app", "v1")


def test_who_pulled_an_image_last_is_known() -> None:
    traffic = Traffic()
    traffic.observe(MANIFEST)
    assert traffic.pulls == {KEY: Pull("192.0.2.1", 10.5)}
    traffic.observe(replace(MANIFEST, user="alice", moment=20.0))
    assert traffic.pulls == {KEY: Pull("alice", 20.5)}
    assert traffic.users == {"alice": 20.5}
    traffic.observe_again(MANIFEST, 30.0, "192.0.2.2")
    assert traffic.pulls == {KEY: Pull("192.0.2.2", 30.0)}
    traffic.observe_again(MANIFEST, 40.0, None)
    assert traffic.pulls == {KEY: Pull("local", 40.0)}


@pytest.mark.parametrize(
    "other",
    [
        {"status": 404},
        {"status": None},
        {"status": 307},
        {"registry": None},
        {"reference": None},
        {"target": "/v2/org/app/blobs/sha256:0"},
    ],
)
def test_what_is_no_pull_counts_for_none(other: dict[str, object]) -> None:
    traffic = Traffic()
    traffic.observe(replace(MANIFEST, **other))  # type: ignore[arg-type]
    assert traffic.pulls == {}


@pytest.mark.security("S37")
def test_there_are_two_thousand_at_the_most() -> None:
    traffic = Traffic()
    for number in range(2100):
        traffic.observe(replace(MANIFEST, reference=f"v{number}", user=f"u{number}"))
    assert len(traffic.pulls) == len(traffic.users) == 2000
    assert ("quay.io/org/app", "v2099") in traffic.pulls


class Slow(Branch):
    """Answers in pieces."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def render_GET(self, request: Request) -> int:
        note_image(request, Registry("quay.io").repository("org/app"), "v1")
        if request.uri == b"/alice":
            note_user(request, "alice")
        request.setHeader("Content-Length", "10")
        request.write(b"1234")
        self.requests.append(request)
        return 1


def test_what_is_under_way_is_seen_until_it_is_over() -> None:
    network, slow, traffic = Network(), Slow(), Traffic()
    clock: Clock = network.clock
    site = PlainSite.make(slow, "registry", clock, lambda record: None)
    site.under_way = traffic.under_way
    browsers = [Browser(site, network, IPv4Address("TCP", "192.0.2.7", 1)) for _ in range(2)]
    browsers[0].ask("/alice")
    clock.advance(3)
    browsers[1].ask("/")
    seen = sorted(traffic.serving(clock.seconds()), key=lambda one: one.seconds)
    assert [(one.who, one.repository, one.reference, one.sent, one.size, one.seconds) for one in seen] == [
        ("192.0.2.7", "quay.io/org/app", "v1", 4, 10, 0.0),
        ("alice", "quay.io/org/app", "v1", 4, 10, 3.0),
    ]
    browsers[1].leave()
    slow.requests[0].write(b"567890")
    slow.requests[0].finish()
    assert list(traffic.serving(clock.seconds())) == []
    assert traffic.under_way == set()


def test_where_nobody_looks_nothing_is_held() -> None:
    network, slow = Network(), Slow()
    site = PlainSite.make(slow, "registry", network.clock, lambda record: None)
    browser = Browser(site, network)
    browser.ask("/")
    browser.leave()
    assert site.under_way is None
