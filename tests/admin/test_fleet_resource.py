"""``/fleet`` and ``/cache/push`` on the admin socket, over the real site in memory."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, succeed

from crproxy.admin.cache_resources import CacheResource
from crproxy.admin.fleet_resource import Describe, FleetResource
from crproxy.admin.site import make_admin_site
from crproxy.objects.outbox import Tally
from crproxy.objects.pushing import Progress, Pushing
from crproxy.policy.routing import Names
from crproxy.store.inventory import Inventory
from crproxy.store.pinning import Pins
from tests.memory import Network
from tests.stores import make_store, threads
from tests.web.conftest import Browser, Received

FOUND = {"node": "a", "up": True}


def saying(document: dict[str, Any] | None) -> Describe:
    async def describe() -> dict[str, Any] | None:
        return document

    return describe


def ask(method: str, target: str, body: bytes = b"", **resources: Any) -> Received:
    network = Network()
    site = make_admin_site(
        dict,
        lambda label, registry: pytest.fail("not asked"),
        lambda: succeed([]),
        network.clock,
        resources=resources,
    )
    browser = Browser(site, network)
    browser.send(f"{method} {target} HTTP/1.0\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    network.advance(1)
    return browser.received()


@pytest.mark.parametrize(("fleet", "storage"), [(FOUND, None), (None, {"url": "s3://b"}), (FOUND, {"url": "s3://b"})])
def test_what_there_is_is_described(fleet: dict[str, Any] | None, storage: dict[str, Any] | None) -> None:
    received = ask("GET", "/fleet", fleet=FleetResource(saying(fleet), saying(storage)))
    assert (received.status, received.one("Content-Type")) == (200, "application/json")
    assert json.loads(received.body) == {"fleet": fleet, "storage": storage}


def test_where_there_is_neither_it_says_what_to_set() -> None:
    received = ask("GET", "/fleet", fleet=FleetResource(saying(None), saying(None)))
    assert received.status == 409
    assert "see [fleet] and [storage]" in json.loads(received.body)["error"]


def test_it_can_only_be_read() -> None:
    assert ask("POST", "/fleet", fleet=FleetResource(saying(FOUND), saying(None))).status == 405


class HandPushing:
    """Reports what a test says, and is over."""

    def __init__(self, *reports: tuple[int, int, int, int]) -> None:
        self.reports = reports
        self.runs = self.unread = 0

    async def check(self) -> None:
        await succeed(None)

    def tally(self) -> Tally:
        return Tally()

    async def run(self, report: Progress) -> None:
        self.runs += 1
        for said in self.reports:
            report(*said)
        await succeed(None)


def push(path: Path, pushing: Any, method: str = "POST") -> Received:
    network = Network()
    store = make_store(path, network.clock)
    inventory = Inventory(path / "index.sqlite", store.blobs)
    cache = CacheResource(
        store,
        inventory,
        threads,
        Names,
        network.clock,
        Pins(store.index, inventory, threads),
        pushing=None if pushing is None else cast(Pushing, pushing),
    )
    return ask(method, "/cache/push", cache=cache)


def test_a_push_is_told_of_in_lines(tmp_path: Path) -> None:
    pushing = HandPushing((10, 5000, 4, 2048))
    received = push(tmp_path, pushing)
    assert (received.status, received.one("Content-Type")) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in received.body.splitlines()]
    said = {"found": 10, "bytes": 5000, "waiting": 4, "waiting_bytes": 2048, **asdict(Tally())}
    assert lines == [said, {**said, "pushed": True, "unread": 0}]
    assert pushing.runs == 1


def test_a_push_that_breaks_says_so_in_its_last_line(tmp_path: Path) -> None:
    class Broken(HandPushing):
        async def run(self, report: Progress) -> None:
            await Deferred.fromCoroutine(super().run(report))
            raise OSError("the disk")

    lines = push(tmp_path, Broken()).body.splitlines()
    assert "error" in json.loads(lines[-1])


def test_without_an_object_store_there_is_nowhere_to_push_to(tmp_path: Path) -> None:
    received = push(tmp_path, None)
    assert received.status == 409
    assert "set url under [storage]" in json.loads(received.body)["error"]


def test_a_push_is_asked_for_and_not_read(tmp_path: Path) -> None:
    pushing = HandPushing()
    assert push(tmp_path, pushing, "GET").status == 405
    assert pushing.runs == 0
