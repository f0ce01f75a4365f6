from __future__ import annotations

import errno
import re
import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address

from crproxy.config import Config
from crproxy.limits import Accounts
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.policy.access import Access
from crproxy.policy.audit import Record, Repeated
from crproxy.policy.units import Frequency
from crproxy.store.entries import Entry, View
from crproxy.store.store import Store
from crproxy.web.page import State
from crproxy.web.prepared import PreparedAnswers
from tests.logs import Log
from tests.memory import Network, Seen, answer
from tests.parts.request_ids import without_ids
from tests.stores import close_indexes, make_store
from tests.web.conftest import NAMES, Browser, Current, build_site

QUAY = "https://quay.io"
TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFESTS = [b'{"schemaVersion": 2, "n": %d}' % number for number in range(3)]
LARGE = b'{"schemaVersion": 2, "a": "%s"}' % (b"x" * 200_000)
TAG = "/v2/quay.io/org/name/manifests/v1"
CONTENT = b"0123456789"
BLOB = f"/v2/quay.io/org/name/blobs/{Digest.of(CONTENT)}"
BY_DIGEST = f"/v2/quay.io/org/name/manifests/{Digest.of(MANIFESTS[0])}"


class World:
    """A proxy and its upstream, with prepared answers or without."""

    def __init__(self, directory: Path, *, prepared: bool = True) -> None:
        self.network = Network()
        self.clock = self.network.clock
        self.store = make_store(directory, self.clock)
        self.current = Current(Config(NAMES))
        self.site = build_site(self.network, self.store, self.current, State())
        self.records: list[Record] = []
        self.repeated: list[tuple[Repeated, str | None]] = []
        self.site.observe = self.records.append
        self.accounts = Accounts(self.current, self.clock)
        self.answers = PreparedAnswers(self.current, self.accounts, self._again, self.clock.seconds)
        if prepared:
            self.site.prepared = self.answers
        self.contents = MANIFESTS
        self.served: int | None = 0
        self.network.serve(QUAY, self._serve)
        self._browsers: dict[str, Browser] = {}

    def get(self, target: str = TAG, *lines: str, method: str = "GET", client: str = "192.0.2.1") -> bytes:
        """Ask on the connection of `client`; return all that came, without its Date."""
        if client not in self._browsers:
            self._browsers[client] = Browser(self.site, self.network, IPv4Address("TCP", client, 1234))
        browser = self._browsers[client]
        browser.wire.clear()
        browser.ask(target, *lines, method=method)
        received = browser.wire.value().split(b"\r\n")
        return without_ids(b"\r\n".join(line for line in received if not line.startswith(b"Date: ")))

    def warm(self, *targets: str) -> None:
        """Have all of them answered from memory, if they are asked for again."""
        for target in targets or (TAG,):
            self.get(target)
            self.get(target)

    def serve(self, *contents: bytes) -> None:
        """Have upstream serve these, each by its digest, and the first by its tag as well."""
        self.contents, self.served = list(contents), 0

    def _again(self, repeated: Repeated, client: str | None) -> None:
        self.repeated.append((repeated, client))

    def _serve(self, seen: Seen) -> bytes:
        if self.served is None:
            return answer(503)
        if "/blobs/" in seen.target:
            return answer(200, b"" if seen.method == "HEAD" else CONTENT, length=len(CONTENT))
        reference = seen.target.partition("?")[0].rpartition("/")[2]
        served = self.contents if self.contents is not MANIFESTS else [MANIFESTS[self.served]]
        found = {"v1": served[0], **{str(Digest.of(each)): each for each in served}}
        if reference not in found:
            return answer(404)
        content = found[reference]
        lines = (f"Content-Type: {TYPE}", f"Docker-Content-Digest: {Digest.of(content)}")
        if seen.method == "HEAD":
            return answer(200, b"", *lines, length=len(content))
        return answer(200, content, *lines)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# What is answered from memory


@pytest.mark.parametrize("target", [TAG, BY_DIGEST])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_was_a_hit_is_answered_again_the_same(world: World, target: str, method: str) -> None:
    world.get(target)
    before = world.get(target, method=method)
    assert world.get(target, method=method) == before
    assert before.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nCache-Status: crproxy; hit\r\n" in before
    assert before.endswith(b"\r\n\r\n" + (MANIFESTS[0] if method == "GET" else b""))
    assert len(world.repeated) == 1


def test_a_head_of_a_stored_blob_is_answered_again_the_same(world: World) -> None:
    world.get(BLOB)
    before = world.get(BLOB, method="HEAD")
    asked = len(world.network.seen)
    assert world.get(BLOB, method="HEAD") == before
    assert b"\r\nContent-Length: 10\r\n" in before
    assert before.endswith(b"\r\n\r\n")
    assert (len(world.repeated), len(world.network.seen)) == (1, asked)
    world.store.drop(Entry(Digest.of(CONTENT)))
    assert b"\r\nCache-Status: crproxy; fwd=uri-miss\r\n" in world.get(BLOB, method="HEAD")
    assert len(world.network.seen) == asked + 1


def test_parts_of_a_blob_are_made_anew_each_time(world: World) -> None:
    world.get(BLOB)
    lines = ("Range: bytes=0-1,3-4",)
    first, second = (world.get(BLOB, *lines) for _ in range(2))
    assert first.startswith(b"HTTP/1.1 206 ")
    assert len(first) == len(second)
    assert first != second
    assert len(world.answers) == 0
    # The header alone is that of the whole, whatever ranges are asked for with it.
    heads = {world.get(BLOB, *lines, method="HEAD") for _ in range(3)}
    assert heads == {world.get(BLOB, method="HEAD")}


def test_a_blob_itself_is_not_prepared(world: World) -> None:
    for _ in range(3):
        assert world.get(BLOB).endswith(CONTENT)
    assert (len(world.answers), world.repeated) == (0, [])


def test_another_client_is_answered_from_it(world: World) -> None:
    world.warm()
    world.get(client="198.51.100.7")
    ((repeated, client),) = world.repeated
    assert client == "198.51.100.7"
    assert repeated.record == replace(world.records[-1], seconds=0.0)


def test_its_date_is_todays(world: World) -> None:
    world.warm()
    browser = Browser(world.site, world.network)
    world.clock.advance(10)
    browser.ask(TAG)
    assert browser.received().one("Date") == "Thu, 01 Jan 1970 00:00:10 GMT"


def test_requests_go_on_behind_it(world: World) -> None:
    world.warm()
    browser = Browser(world.site, world.network)
    for target in (TAG, BY_DIGEST, "/v2/", TAG):
        browser.wire.clear()
        assert browser.get(target).status == 200


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_request_in_two_pieces_is_answered_as_ever(world: World, cut: int) -> None:
    world.warm()
    request = f"GET {TAG} HTTP/1.1\r\nHost: cr.test\r\n\r\n".encode()
    browser = Browser(world.site, world.network)
    browser.send(request[:cut])
    assert browser.silent
    browser.send(request[cut:])
    assert browser.received().body == MANIFESTS[0]
    assert world.repeated == []


def test_two_requests_in_one_piece_are_two(world: World) -> None:
    request = f"GET {TAG} HTTP/1.1\r\nHost: cr.test\r\n\r\n".encode()
    for _ in range(3):
        browser = Browser(world.site, world.network)
        browser.send(request * 2)
        assert browser.wire.value().count(MANIFESTS[0]) == 2
    assert world.repeated == []


def test_idle_connections_are_closed_a_minute_after_their_last_answer(world: World) -> None:
    world.warm()
    browser = Browser(world.site, world.network)
    world.clock.advance(50)
    browser.ask(TAG)
    world.clock.advance(50)
    assert not browser.wire.disconnecting
    world.clock.advance(11)
    assert browser.wire.disconnecting


def test_what_is_closing_closes_with_its_answer(world: World) -> None:
    world.warm()
    browser = Browser(world.site, world.network)
    world.site.connections.close()
    browser.ask(TAG)
    assert browser.received().one("Connection") == "close"
    assert world.repeated == []


# What is not


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Basic YTpi",
        "Connection: close",
        "Connection: keep-alive",
        "Content-Length: 0",
        "Expect: 100-continue",
        "Upgrade: h2c",
    ],
)
def test_what_asks_for_more_than_an_answer_is_not_prepared(world: World, line: str) -> None:
    world.warm()
    for number in range(3):
        assert b"200 OK" in world.get(TAG, line, client=f"192.0.2.{number}")
    assert world.repeated == []


@pytest.mark.parametrize("target", ["/v2/quay.io/org/name/manifests/none", "/v2/quay.io/org/name/tags/list", "/"])
def test_what_is_no_manifest_that_is_kept_is_not(world: World, target: str) -> None:
    for _ in range(3):
        world.get(target)
    assert (len(world.answers), world.repeated) == (0, [])


def test_what_a_limit_has_to_be_kept_for_is_not(world: World) -> None:
    world.current.config = replace(
        world.current.config, limits=replace(world.current.config.limits, per_client=1_000_000)
    )
    world.warm()
    world.get()
    assert world.repeated == []


# What changes the answer


def test_a_tag_counts_as_long_as_it_is_fresh_and_no_moment_longer(world: World) -> None:
    world.warm()
    world.served = 1
    world.clock.advance(59.9)
    assert world.get().endswith(MANIFESTS[0])
    asked = len(world.network.seen)
    world.clock.advance(0.1)
    assert world.get().endswith(MANIFESTS[1])
    assert len(world.network.seen) > asked


def test_what_is_dropped_is_fetched_anew(world: World) -> None:
    world.warm(BY_DIGEST)
    asked = len(world.network.seen)
    world.store.drop(Entry(Digest.of(MANIFESTS[0])))
    assert world.get(BY_DIGEST).endswith(MANIFESTS[0])
    assert len(world.network.seen) == asked + 1


def test_what_another_process_takes_away_counts_a_second_at_most(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.warm(BY_DIGEST)
    other = make_store(tmp_path, world.clock)
    registry = Registry("quay.io")
    other.index.unlink(View(registry.repository("org/name")), [Digest.of(MANIFESTS[0])])
    asked = len(world.network.seen)
    world.clock.advance(1)
    assert world.get(BY_DIGEST).endswith(MANIFESTS[0])
    assert len(world.network.seen) == asked + 1


def test_an_access_list_counts_at_once(world: World) -> None:
    world.warm()
    world.current.config = replace(world.current.config, access=Access(deny=frozenset({"quay.io/*"})))
    assert world.get().startswith(b"HTTP/1.1 403 ")


def test_what_a_privileged_client_may_have_others_may_not(world: World) -> None:
    access = Access(deny=frozenset({"quay.io/*"}), privileged=(ip_network("192.0.2.0/24"),))
    world.current.config = replace(world.current.config, access=access)
    world.warm()
    assert world.get().startswith(b"HTTP/1.1 200 ")
    assert len(world.repeated) == 1
    assert world.get(client="198.51.100.7").startswith(b"HTTP/1.1 403 ")


def test_whom_a_trusted_proxy_speaks_for_is_who_asked(world: World) -> None:
    listen = replace(world.current.config.listen, trusted_proxies=(ip_network("192.0.2.0/24"),))
    world.current.config = replace(world.current.config, listen=listen)
    for client in ("203.0.113.1", "203.0.113.2"):
        for _ in range(3):
            world.get(TAG, f"X-Forwarded-For: {client}")
    assert [client for _, client in world.repeated][-2:] == ["203.0.113.2"] * 2


def test_too_many_requests_are_too_many(world: World) -> None:
    limits = replace(world.current.config.limits, requests_per_client=Frequency(5, 60))
    world.current.config = replace(world.current.config, limits=limits)
    world.site.prepared = world.answers = PreparedAnswers(
        world.current, _accounts_of(world), world.answers._observe, world.clock.seconds
    )
    statuses = [world.get()[9:12] for _ in range(7)]
    assert statuses == [b"200"] * 5 + [b"429"] * 2


def _accounts_of(world: World) -> Accounts:
    registry: Any = world.site.resource.children[b"v2"]
    found: Accounts = registry._accounts
    return found


def test_what_another_configuration_decided_is_not_kept(world: World) -> None:
    """An answer that is read slowly may end under another one than it was given by."""
    world.serve(LARGE)
    world.get()
    slow = Browser(world.site, world.network, IPv4Address("TCP", "192.0.2.66", 1))
    slow.stall_behind(100_000)
    slow.ask(TAG)
    world.current.config = replace(world.current.config, access=Access(deny=frozenset({"quay.io/*"})))
    assert world.get().startswith(b"HTTP/1.1 403 ")
    slow.read_on()
    world.network.pump()
    assert slow.received().body == LARGE
    assert world.get(client="198.51.100.9").startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("address", ["::ffff:192.0.2.1", "fe80::1%eth0", "2001:DB8:0::1"])
def test_its_client_has_the_name_that_it_always_has(world: World, address: str) -> None:
    browser = Browser(world.site, world.network, IPv6Address("TCP", address, 1234))
    for _ in range(3):
        browser.ask(TAG)
    assert world.repeated[-1][1] == world.records[-1].client


def test_what_cannot_be_looked_at_is_answered_as_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.warm(BY_DIGEST)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Store, "read", fail)
    world.clock.advance(2)
    with Log() as log:
        assert world.get(BY_DIGEST).startswith(b"HTTP/1.1 500 ")
    assert log.failures == [OSError, OSError]


def test_what_cannot_be_told_of_is_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.warm()

    def fail(*_: object) -> None:
        raise RuntimeError("no line")

    monkeypatch.setattr(world.answers, "_observe", fail)
    with Log() as log:
        assert world.get().endswith(MANIFESTS[0])
    assert log.failures == [RuntimeError]


# Memory


def test_an_answer_to_head_holds_nothing_of_the_body(world: World) -> None:
    contents = [b'{"schemaVersion": 2, "a": "%d%s"}' % (number, b"x" * 250_000) for number in range(150)]
    world.serve(*contents)
    paths = [f"/v2/quay.io/org/name/manifests/{Digest.of(content)}" for content in contents]
    for path in paths:
        world.get(path)
    tracemalloc.start()
    try:
        for number in range(4):
            for path in paths:
                world.get(path, f"X-Number: {number}", method="HEAD")
        # The store holds manifests of its own in memory, 32 MiB of them.
        assert len(world.answers) > 500
        assert tracemalloc.get_traced_memory()[0] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_what_is_told_of_it_counts(world: World) -> None:
    world.site.prepared = small = PreparedAnswers(
        world.current, world.accounts, world._again, world.clock.seconds, most=200_000
    )
    world.warm()
    for number in range(30):
        world.get(f"{TAG}?{number}={'%22' * 400}", f"User-Agent: {chr(255) * 1500}")
    assert 1 <= len(small) <= 14


def test_it_takes_as_much_memory_as_it_may(world: World) -> None:
    world.site.prepared = small = PreparedAnswers(
        world.current, world.accounts, world._again, world.clock.seconds, most=20_000
    )
    world.warm()
    for number in range(20):
        world.get(TAG, f"X-Number: {number}")
    assert 1 <= len(small) <= 5


def test_a_long_request_is_not_kept(world: World) -> None:
    for _ in range(3):
        world.get(TAG, "X-Long: " + "a" * 4096)
    world.warm()
    assert len(world.answers) == 1


# Whatever is sent, in whatever pieces


def _request(target: str, *lines: str, method: str = "GET", version: str = "HTTP/1.1", body: bytes = b"") -> bytes:
    return "\r\n".join([f"{method} {target} {version}", "Host: cr.test", *lines, "", ""]).encode("latin-1") + body


CHUNKED = b"3\r\nabc\r\n0\r\n\r\n"
PIECES = [
    *([_request(TAG)] * 3),
    _request(BY_DIGEST),
    _request(TAG, method="HEAD"),
    *(_request(TAG, line) for line in ("Connection: Close", "CONNECTION: keep-alive", "connection : close")),
    *(_request(TAG, line) for line in ("Keep-Alive: 1", "X: a\r\n Connection: close", "Host: cr.test", "Upgrade: h2c")),
    *(_request(TAG, line) for line in ("Range: bytes=0-1", "If-None-Match: *", "Expect: 100-continue")),
    _request(TAG, version="HTTP/1.0"),
    _request(TAG, "Content-Length: 5", method="POST", body=b"hello"),
    _request(TAG, "Content-Length: 5", body=b"hello") + _request(BY_DIGEST),
    _request(TAG, "Transfer-Encoding: chunked", method="POST", body=CHUNKED) + _request(TAG),
    _request(TAG).replace(b"\r\n", b"\n"),
    b"\r\n",
    b"\r\n" + _request(TAG),
    _request(TAG) + b"\r\n",
    _request(TAG) * 2,
    _request(TAG) + _request(TAG)[:20],
    _request(TAG)[20:],
    _request("http://cr.test" + TAG),
    _request("/v2/"),
    _request("/v2/quay.io/org/name/manifests/none"),
]
EVENTS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 2), st.sampled_from(PIECES), st.integers(0, 200)),
    st.tuples(st.just("send"), st.integers(0, 2), st.sampled_from(PIECES[:5]), st.just(0)),
    st.tuples(st.just("stall"), st.integers(0, 2), st.just(b""), st.just(0)),
    st.tuples(st.just("read on"), st.integers(0, 2), st.just(b""), st.just(0)),
    st.tuples(st.just("wait"), st.just(0), st.just(b""), st.sampled_from([1, 9, 11, 55, 61])),
    st.tuples(st.just("close"), st.just(0), st.just(b""), st.just(0)),
)
Event = tuple[str, int, bytes, int]


class Clients:
    """Three connections to one world, and what came on them."""

    def __init__(self, world: World) -> None:
        self._world = world
        world.warm(TAG, BY_DIGEST)
        world.records.clear()
        world.repeated.clear()
        self._browsers = [
            Browser(world.site, world.network, IPv4Address("TCP", f"192.0.2.{number}", 1)) for number in range(3)
        ]

    def do(self, what: str, which: int, data: bytes, number: int) -> None:
        browser = self._browsers[which]
        match what:
            case "send" if number:
                browser.send(data[:number])
                browser.send(data[number:])
            case "send":
                browser.send(data)
            case "stall" if browser.wire.producer is not None:
                browser.stall()
            case "read on" if browser.wire.producer is not None:
                browser.read_on()
                self._world.network.pump()
            case "wait":
                self._world.clock.advance(number)
                self._world.network.pump()
            case "close":
                self._world.site.connections.close()

    def seen(self) -> list[tuple[bytes, bool, bool, str | None]]:
        wires = [browser.wire for browser in self._browsers]
        return [
            (
                re.sub(rb"Date: [^\r]*\r\n", b"", without_ids(wire.value())),
                wire.disconnecting,
                wire.aborted,
                wire.producerState,
            )
            for wire in wires
        ]

    def told(self) -> list[Record]:
        again = [replace(repeated.record, client=client) for repeated, client in self._world.repeated]
        records = [replace(record, moment=0.0, seconds=0.0, request=None) for record in self._world.records + again]
        return sorted(records, key=str)


@settings(max_examples=80)
@given(st.lists(EVENTS, max_size=20))
def test_whatever_is_sent_the_same_comes_back_as_without_it(events: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as with_it, tempfile.TemporaryDirectory() as without:
        both = [Clients(World(Path(with_it))), Clients(World(Path(without), prepared=False))]
        for event in events:
            for clients in both:
                clients.do(*event)
            assert both[0].seen() == both[1].seen()
        assert both[0].told() == both[1].told()
        close_indexes()


# Whatever happens

Step = Callable[[World], bytes]


def _ask(target: str, method: str, client: str) -> Step:
    return lambda world: world.get(target, method=method, client=client)


def _wait(seconds: float) -> Step:
    def step(world: World) -> bytes:
        world.clock.advance(seconds)
        return b""

    return step


def _upstream(served: int | None) -> Step:
    def step(world: World) -> bytes:
        world.served = served
        return b""

    return step


def _drop(number: int) -> Step:
    def step(world: World) -> bytes:
        world.store.drop(Entry(Digest.of([*MANIFESTS, CONTENT][number])))
        return b""

    return step


def _unlink(number: int) -> Step:
    view = View(Registry("quay.io").repository("org/name"))

    def step(world: World) -> bytes:
        world.store.index.unlink(view, [Digest.of([*MANIFESTS, CONTENT][number])])
        world.store.index.untag(view, "v1")
        return b""

    return step


def _configure(access: Access) -> Step:
    def step(world: World) -> bytes:
        world.current.config = replace(world.current.config, access=access)
        return b""

    return step


CLIENTS = ["192.0.2.1", "198.51.100.7"]
ACCESSES = [
    Access(),
    Access(deny=frozenset({"quay.io/*"})),
    Access(deny=frozenset({"quay.io/*"}), privileged=(ip_network("192.0.2.0/24"),)),
]
TARGETS = [TAG, BLOB, *(f"/v2/quay.io/org/name/manifests/{Digest.of(content)}" for content in MANIFESTS)]
STEPS = st.one_of(
    st.builds(_ask, st.sampled_from(TARGETS), st.sampled_from(["GET", "HEAD"]), st.sampled_from(CLIENTS)),
    st.builds(_ask, st.just(TAG), st.just("GET"), st.just(CLIENTS[0])),
    st.builds(_wait, st.sampled_from([0.3, 1, 30, 59.9, 61, 4000])),
    st.builds(_upstream, st.sampled_from([0, 1, 2, None])),
    st.builds(_drop, st.sampled_from([0, 1, 2, 3])),
    st.builds(_unlink, st.sampled_from([0, 1, 2, 3])),
    st.builds(_configure, st.sampled_from(ACCESSES)),
)


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_the_same_is_answered_as_without_it(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as with_it, tempfile.TemporaryDirectory() as without:
        worlds = World(Path(with_it)), World(Path(without), prepared=False)
        for step in steps:
            told, expected = (step(world) for world in worlds)
            assert told == expected
        one, other = ([seen.url for seen in world.network.seen] for world in worlds)
        assert one == other
        assert len(worlds[0].records) + len(worlds[0].repeated) == len(worlds[1].records)


def test_who_has_said_who_it_is_is_answered_as_ever(world: World) -> None:
    """What is prepared is for anybody, and its line in the audit log names nobody."""
    world.warm()
    world.get()
    repeated = len(world.repeated)
    assert repeated > 0
    channel: Any = world._browsers["192.0.2.1"]._protocol
    channel.user = "alice"
    world.get()
    assert len(world.repeated) == repeated
    assert world.records[-1].user == "alice"
