"""Limits: on connections, requests, fills and bytes; and whom they are counted for.

The rows are those of the project's table of threats (S20, S21, S25).
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.parts.admin_socket import tell
from tests.parts.answers import Filler, Gate, Stall
from tests.parts.caller import Caller, proxy_v1, proxy_v2
from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.mounts import small_disk
from tests.parts.places import REGISTRY, blob
from tests.parts.raw_http import Reply, fetch, hash_rest
from tests.parts.shapes import content, ranged
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.parts.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MEBIBYTE = 1 << 20
DOMAIN = "cr.test"
PROXY, OTHER, THIRD = "127.0.0.2", "127.0.0.3", "127.0.0.4"
TRUSTED = f'\n[listen]\ntrusted_proxies = ["{PROXY}"]\nplain_http = "serve"\n'


def limits(**keys: str | int) -> str:
    lines = [f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in keys.items()]
    return "\n".join(["[limits]", *lines, ""])


def assert_too_many(reply: Reply) -> None:
    assert (reply.status, reply.code) == (429, "TOOMANYREQUESTS")
    assert int(reply.headers["Retry-After"]) >= 1


@dataclass(frozen=True, slots=True)
class House:
    """A daemon that listens in the clear and for TLS, with limits of the test's own."""

    daemon: Daemon
    root: Path

    def call(self, source: str = OTHER, header: bytes = b"", *, tls: bool = False) -> Caller:
        return Caller(self._port(tls), source, header, name=DOMAIN, root=self.root if tls else None)

    def hangs_up(self, source: str = OTHER, header: bytes = b"", *, tls: bool = False) -> bool:
        """Whether a connection is closed without a word, before TLS where that is spoken."""
        try:
            with Caller(self._port(tls), source, header) as caller:
                return caller.is_closed()
        except (ConnectionResetError, BrokenPipeError):
            # Before there was time to say anything.
            return True

    def status(self, source: str = OTHER, header: bytes = b"", *fields: tuple[str, str], tls: bool = False) -> int:
        with self.call(source, header, tls=tls) as caller:
            return caller.get("/v2/", *fields).status

    def wait_for_connections(self, number: int) -> None:
        """Wait until clients have so many: a worker is told of an end when it is its turn."""
        until(lambda: self._connections() == number, found=self._connections)

    def _connections(self) -> int:
        text = tell(self.daemon.data_dir / "admin.sock", "GET", "/metrics").body.decode()
        found = re.findall(r'^crproxy_connections\{site="(?:registry|plain|refusing)"\} (\d+)', text, re.MULTILINE)
        return sum(map(int, found))

    def _port(self, tls: bool) -> int:
        return self.daemon.tls_port if tls else self.daemon.port


@pytest.fixture
def house(tmp_path: Path, authority: Authority) -> Iterator[Callable[..., House]]:
    """Starts a daemon with a certificate for its domain, on endpoints that begin with a prefix."""
    running: list[Daemon] = []
    certificate = authority.issue(DOMAIN)
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "any.pem").write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())

    def start(text: str, prefix: str = "") -> House:
        endpoint = f"{prefix}tcp:0:interface=127.0.0.1"
        listen = ["--http", endpoint, "--https", endpoint, "--certs", str(certs), "--acme-directory", "none"]
        config = configuration({}, domain=DOMAIN) + text + TRUSTED
        running.append(Daemon(tmp_path, config, tmp_path / "data", listen=listen))
        return House(running[0], authority.file)

    yield start
    for daemon in running:
        daemon.stop()


# Who the client is


def test_s25_x_forwarded_for_counts_from_trusted_proxies_alone(house: Callable[..., House]) -> None:
    running = house(limits(requests_per_client="2/h"))

    def ask_for(client: str, source: str) -> int:
        return running.status(source, b"", ("X-Forwarded-For", client), tls=True)

    assert [ask_for(f"192.0.2.{number}", OTHER) for number in range(4)] == [200, 200, 429, 429]
    assert [ask_for(f"192.0.2.{number}", PROXY) for number in range(4)] == [200, 200, 200, 200]
    assert [ask_for(f"192.0.2.{number}, 192.0.2.99", PROXY) for number in range(4)] == [200, 200, 429, 429]
    assert running.status(THIRD) == 200


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("header", [proxy_v1, proxy_v2])
def test_s25_a_proxy_header_says_who_the_client_is(
    house: Callable[..., House], header: Callable[[str], bytes], tls: bool
) -> None:
    running = house(limits(requests_per_client="1/h"), "haproxy:")
    clients = ("192.0.2.1", "192.0.2.2", "192.0.2.1")
    assert [running.status(PROXY, header(client), tls=tls) for client in clients] == [200, 200, 429]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_s25_a_proxy_header_from_anywhere_else_closes_the_connection(house: Callable[..., House], tls: bool) -> None:
    running = house("", "haproxy:")
    for _ in range(3):
        assert running.hangs_up(OTHER, proxy_v1("192.0.2.1"), tls=tls)
    running.daemon.wait_for_log(f"{OTHER} is none of the trusted_proxies")
    assert running.daemon.log.count("is none of the trusted_proxies") <= Daemon.workers
    assert running.status(PROXY, proxy_v1("192.0.2.1"), tls=tls) == 200


def test_s25_without_the_header_that_is_expected_the_connection_is_closed(house: Callable[..., House]) -> None:
    running = house("", "haproxy:")
    with running.call(PROXY, b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n") as caller:
        assert caller.is_closed()


def test_s25_addresses_of_one_64_are_one_client(house: Callable[..., House]) -> None:
    running = house(limits(requests_per_client="1/h"), "haproxy:")
    clients = ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1")
    assert [running.status(PROXY, proxy_v1(client)) for client in clients] == [200, 429, 200]


# Connections


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_s20_connections_of_one_client_are_served_refused_and_closed(house: Callable[..., House], tls: bool) -> None:
    running = house(limits(connections_per_client=2))
    with ExitStack() as calling:
        first, second = (calling.enter_context(running.call(tls=tls)) for _ in range(2))
        # Counted by now, whichever worker has them.
        assert [one.get("/v2/").status for one in (first, second)] == [200, 200]
        third = calling.enter_context(running.call(tls=tls))
        refused = third.get("/v2/")
        assert_too_many(refused)
        assert refused.headers["Connection"] == "close"
        third.leave()
        running.wait_for_connections(2)
        with running.call(tls=tls) as one, running.call(tls=tls) as other:
            running.wait_for_connections(4)
            # Four are let in and no more, TLS or not.
            assert running.hangs_up(tls=tls)
            assert running.status(THIRD, tls=tls) == 200
            assert [one.get("/v2/").status, other.get("/v2/").status] == [429, 429]
        assert first.get("/v2/").status == 200
        first.leave()
        running.wait_for_connections(1)
        assert running.status(tls=tls) == 200


def test_s20_behind_a_proxy_each_client_has_its_own(house: Callable[..., House]) -> None:
    running = house(limits(connections_per_client=1), "haproxy:")
    header = proxy_v1("192.0.2.1")
    with running.call(PROXY, header) as first, running.call(PROXY, header) as second:
        assert [first.get("/v2/").status, second.get("/v2/").status] == [200, 429]
        assert running.status(PROXY, proxy_v1("192.0.2.2")) == 200


def test_connections_of_trusted_proxies_are_not_counted(house: Callable[..., House]) -> None:
    running = house(limits(connections_per_client=1))
    with running.call(PROXY) as first, running.call(PROXY) as second, running.call(PROXY) as third:
        assert [one.get("/v2/").status for one in (first, second, third)] == [200] * 3


# Fills and bytes


def text(fake: FakeUpstream, **keys: str | int) -> str:
    return configuration({REGISTRY: Upstream(fake.url)}) + limits(**keys)


def test_s21_fills_are_capped_and_running_ones_joined(tmp_path: Path, fake: FakeUpstream, gate: Gate) -> None:
    bodies = [Filler(4 * MEBIBYTE, seed=seed) for seed in range(3)]
    places = [blob(body) for body in bodies]
    for body, place in zip(bodies, places, strict=True):
        fake.script(place.path, ranged(body, Stall(gate, at=MEBIBYTE)))
    with Daemon(tmp_path, text(fake, fills_per_client=1, fills_per_upstream=2)) as daemon, ExitStack() as calling:
        sources = (OTHER, OTHER, OTHER, THIRD, THIRD, PROXY)
        callers = [calling.enter_context(Caller(daemon.port, source)) for source in sources]
        begun, refused, joins, other, refused_too, refused_by_registry = callers
        answers = [begun.ask(places[0].through)]
        assert_too_many(refused.get(places[1].through))
        answers += [joins.ask(places[0].through), other.ask(places[1].through)]
        assert_too_many(refused_too.get(places[2].through))
        assert REGISTRY in refused_by_registry.get(places[2].through).message
        assert [answer.status for answer in answers] == [200] * 3
        gate.open()
        assert [hash_rest(answer)[1] for answer in answers] == [bodies[number].digest for number in (0, 0, 1)]
        daemon.cache.wait_until_whole(bodies[0].digest)
        daemon.cache.wait_until_whole(bodies[1].digest)
        assert fake.seen.requests(places[2].path) == []
        assert hash_rest(refused.ask(places[2].through))[1] == bodies[2].digest


@pytest.mark.parametrize("key", ["per_transfer", "per_client", "total", "upstream"])
def test_a_blob_takes_its_time(tmp_path: Path, fake: FakeUpstream, key: str) -> None:
    """At least: but for the burst, a tenth of a second's worth, and for the last piece, which nobody waits behind."""
    body = Filler(2 * MEBIBYTE)
    place = blob(body)
    fake.script(place.path, content(body))
    with Daemon(tmp_path, text(fake, **{key: "1M/s"})) as daemon, Caller(daemon.port) as caller:
        began = time.monotonic()
        size, digest = hash_rest(caller.ask(place.through))
        assert (size, digest) == (len(body), body.digest)
        assert time.monotonic() - began > 1.7


def test_limits_are_read_again_and_nobody_is_cut_off(tmp_path: Path, fake: FakeUpstream) -> None:
    """At 64K/s it would take ten minutes."""
    body = Filler(40 * MEBIBYTE)
    place = blob(body)
    fake.script(place.path, content(body))
    with Daemon(tmp_path, text(fake, per_transfer="64K/s")) as daemon, Caller(daemon.port) as caller:
        response = caller.ask(place.through)
        begun = response.read(1024)
        daemon.reload(text(fake, requests_per_client="1/h"))
        daemon.wait_for_log("the configuration was read again")
        assert hash_rest(response, begun) == (len(body), body.digest)
        assert caller.get("/v2/").status == 200
        assert_too_many(caller.get("/v2/"))
        seen = len(daemon.log)
        daemon.reload(text(fake))
        daemon.wait_for_log("the configuration was read again", after=seen)
        assert caller.get("/v2/").status == 200


def test_s21_ranges_of_what_is_not_here_are_fills_too(tmp_path: Path, fake: FakeUpstream, gate: Gate) -> None:
    """However they end: 395 were under way at once where 128 are the most."""
    bodies = [Filler(4 * MEBIBYTE, seed=seed) for seed in range(4)]
    places = [blob(body) for body in bodies]
    for body, place in zip(bodies[:3], places, strict=False):
        fake.script(place.path, ranged(body, Stall(gate, at=3 * MEBIBYTE)))
    fake.script(places[3].path, ranged(bodies[3]))
    a_range = ("Range", f"bytes={2 * MEBIBYTE}-")
    with Daemon(tmp_path, text(fake, fills_per_client=2, fills_per_upstream=3)) as daemon, ExitStack() as calling:

        def caller(source: str) -> Caller:
            return calling.enter_context(Caller(daemon.port, source))

        leaves, stays, refused, third, refused_by_registry = map(caller, (OTHER, OTHER, OTHER, THIRD, PROXY))
        answers = [leaves.ask(places[0].through, a_range), stays.ask(places[1].through, a_range)]
        assert_too_many(refused.get(places[3].through, a_range))
        assert_too_many(refused.get(places[3].through))
        answers.append(third.ask(places[2].through, a_range))
        assert_too_many(refused_by_registry.get(places[3].through, a_range))
        assert [answer.status for answer in answers] == [206] * 3
        assert fake.seen.requests(places[3].path) == []
        answers[0].close()
        leaves.__exit__()
        until(lambda: refused.get(places[3].through, a_range).status == 206)
        gate.open()
        assert len(answers[1].read()) == len(answers[2].read()) == 2 * MEBIBYTE
        assert [caller(OTHER).get(places[3].through, a_range).status for _ in range(2)] == [206, 206]


def test_who_may_fetch_one_blob_may_have_one_that_is_not_kept(tmp_path: Path, fake: FakeUpstream) -> None:
    """What was begun to be kept counts no more when the same client is sent it straight from upstream."""
    large = Filler(64 * MEBIBYTE, seed=1)
    fake.script(blob(large).path, content(large))
    limited = text(fake, fills_per_client=1, fills_per_upstream=1)
    with small_disk(tmp_path / "disk", "16m") as disk, Daemon(tmp_path, limited, data_dir=disk) as daemon:
        for _ in range(2):
            assert fetch(daemon.address, blob(large).through).digest == large.digest
        daemon.wait_for_log(f"{large.digest} is passed on but not kept")
