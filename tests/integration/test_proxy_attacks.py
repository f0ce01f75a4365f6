"""The HTTP proxy is nobody's way inside, nor to anything but registries and what `tunnel` lists (see test_ssrf.py).

The daemon runs in a network where every address of the world is ours, and the kernel counts its connections.
"""

from __future__ import annotations

import ssl
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.forbidden import EDGE, EDGE_ADDRESS, FRONT, FRONT_ADDRESS, HOSTS, NAMES, PUBLIC, ZONE
from tests.parts.images import OCI_MANIFEST
from tests.parts.internet import Internet
from tests.parts.name_server import NameServer
from tests.parts.proxy_client import Answered, Inside, ProxyClient, connect, read_answer, rest
from tests.parts.shapes import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

# Where something may listen inside; what is in the configuration, or should be, speaks TLS.
OPEN = (22, 80, 2375, 5000)
PASSED = "passed.example.net"
TURNING = "turning.example.net"
BODY = b'{"schemaVersion": 2}'
# Whoever wrote this trusts a whole domain, below which there are names that lead inside.
TUNNEL = ["*.example.com", "*.example.net", "*.default.svc", "*.internal.example.org"]


@dataclass
class World:
    """The servers of all addresses, and the daemon that clients would have lead them there."""

    internet: Internet
    names: NameServer
    servers: list[FakeUpstream]
    secure: FakeUpstream
    daemon: Daemon
    client: ProxyClient
    authority: Authority
    _reached: int = 0
    _asked: int = 0
    _opened: int = 0

    def begin(self) -> None:
        """Count from here on."""
        self._reached, self._asked = len(self._all_reached()), len(self.names.asked)
        self._opened = self.internet.opened()

    def ask(self, target: str, *fields: str) -> Answered:
        """Ask for ``target``, which is to be refused; no connection but this one is begun, whoever answers."""
        answered = self.client.ask(target, *fields)
        assert self.internet.opened() - self._opened == 1
        assert self.reached() == []
        return answered

    def reached(self) -> list[tuple[str, int]]:
        """Where the daemon connected to."""
        return self._all_reached()[self._reached :]

    def looked_up(self) -> set[str]:
        """The names that were asked for."""
        return set(self.names.asked[self._asked :])

    def _all_reached(self) -> list[tuple[str, int]]:
        return [place for server in self.servers for place in server.reached]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, workers: int) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("net")
    authority = Authority(directory)
    shown = authority.issue(FRONT, "*.example.com", "*.example.net")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.chain, shown.key)
    with ExitStack() as running:
        internet = running.enter_context(Internet(directory, authority.file))
        turns = {TURNING: [[EDGE_ADDRESS], ["127.0.0.1", "::1"]]}
        zone = ZONE | {PASSED: [EDGE_ADDRESS]}
        names = running.enter_context(NameServer(internet.resolver(), zone, turns))
        secure = running.enter_context(FakeUpstream(context, internet.listener(443)))
        plain = [running.enter_context(FakeUpstream(None, internet.listener(port))) for port in OPEN]
        # Of two registries one has a port of its own: that is asked by the other ways alone.
        config = configuration({FRONT: Upstream(f"https://{FRONT}"), f"{EDGE}:5000": Upstream(f"https://{EDGE}:5000")})
        config += f'[proxy]\nlisten = ["tcp:0:interface=127.0.0.1"]\ntunnel = {TUNNEL}\n'
        daemon = running.enter_context(Daemon(directory, config, node=internet.node))
        port = int(daemon.wait_for_log(r"clients may have http://\S+:(\d+) as")[1])
        client = ProxyClient(("127.0.0.1", port), daemon.data_dir, internet.entered)
        yield World(internet, names, [secure, *plain], secure, daemon, client, authority)


@pytest.fixture(autouse=True)
def counting(world: World) -> Iterator[None]:
    before = len(world.daemon.log)
    world.begin()
    yield
    world.daemon.assert_calm(after=before)


CORPUS = [host for kind in HOSTS.values() for host in kind]
# As they stand there, and with the port that alone is connected to.
TARGETS = sorted({target for host in CORPUS for target in (host, f"{host}:443")} - {f"{FRONT}.:443", f"{EDGE}.:443"})
LEADING_INSIDE = {f"{name}:443" for name in NAMES}
ELSEWHERE = [
    *(f"{FRONT}:{port}" for port in (0, 1, 22, 80, 442, 444, 2375, 5000, 65535, 65536, 99999)),
    *(f"{PASSED}:{port}" for port in (22, 80, 5000, 8443)),
    *(
        f"{FRONT}:{port}"
        for port in ("", "+443", "-1", " 443", "0443 ", "443x", "٤٤٣", "4_43", "000443", "443:443", "https")
    ),
    f"{EDGE}:5000",
    FRONT,
    f":{443}",
    ":",
    "",
    "/",
    "*",
    "/v2/",
    f"https://{FRONT}",
    f"https://{FRONT}:443/v2/",
    f"http://{FRONT}:443",
    f"//{FRONT}:443",
    f"{FRONT}:443/",
    f"{FRONT}:443/v2/",
    f"{FRONT}:443?x",
    f"{FRONT}:443#x",
    f"{FRONT}:443@127.0.0.1:443",
    f"user@{FRONT}:443",
    f"user:password@{FRONT}:443",
    f"127.0.0.1@{FRONT}:443",
    f"{FRONT},127.0.0.1:443",
    f"{FRONT};127.0.0.1:443",
    f"{FRONT}\\:443",
    f"{FRONT}%00:443",
    f"{FRONT}%2e:443",
    f"{FRONT}..:443",
    f".{FRONT}:443",
    f"not{FRONT}.test:443",
    f"below.{FRONT}.test:443",
    f"[{FRONT}]:443",
    "[::1%25lo]:443",
    "[::1%lo]:443",
    "[::ffff:127.0.0.1]443",
    "[127.0.0.1]:443",
    "[]:443",
    "[v1.x]:443",
    "xn--a:443",
    "x" * 300 + ".example.com:443",
    ".".join(["x" * 63] * 5) + ".example.com:443",
    "x" * 8000 + ":443",
    f"{'a.' * 120}example.com.evil.test:443",
]
ODD = [
    *(f"fr{control}ont.example.com:443" for control in ("\0", "\1", "\x1b", "\x7f", "\x85", "\xa0", "\xad", "\xff")),
    *(f"x{control}y.example.com:22" for control in ("\0", "\1", "\x1bc", "\x7f", "\x9b31m", "\xad", "\xff")),
    "\x1b]0;x\x07.example.com:443",
    "bücher.example.com:443",
    "bücher.example.com:22",
    "front.example.cºm:443",
    "127.0.0.¹:443",
    "localhos\xad\xadt:443",
    "ﬀ.example.com:443".encode().decode("latin-1"),
]


def assert_refused(answered: Answered) -> None:
    """Fail unless somebody is told why."""
    assert answered.status in (400, 403), answered
    assert answered.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert len(answered.body) > 20
    # Go's clients show nothing but this.
    assert answered.phrase == answered.body.decode().strip()
    assert answered.phrase.isascii()
    assert answered.phrase.isprintable()


@pytest.mark.security("S31", "S2")
def test_nothing_inside_is_connected_to(world: World) -> None:
    """Every way to write it, whether or not a pattern of `tunnel` has it."""
    for target in TARGETS:
        if target in LEADING_INSIDE:
            continue
        world.begin()
        assert_refused(world.ask(target))
        assert world.looked_up() == set(), target


@pytest.mark.security("S31", "S2")
@pytest.mark.parametrize("target", sorted(LEADING_INSIDE))
def test_a_name_that_may_be_passed_to_and_leads_inside_is_refused(world: World, target: str) -> None:
    """Only where it leads tells: it is looked up, and not connected to."""
    answered = world.ask(target)
    assert answered.status in (403, 502), answered
    host = target.partition(":")[0]
    if answered.status == 502:
        # Twisted looks up no name that is not IDNA's.
        why = "its name cannot be resolved" if "_" in host or "---" in host else "its name leads to "
        assert answered.body.decode().startswith(f"{host} cannot be connected to: {why}")
    assert answered.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.security("S31", "S3")
def test_a_name_that_leads_elsewhere_the_second_time_is_refused_then(world: World) -> None:
    """DNS rebinding: public when it is connected to first, loopback the next time."""
    with through(world, TURNING) as passed:
        assert passed.say(f"GET /v2/ HTTP/1.1\r\nHost: {TURNING}\r\n\r\n".encode()).body == b"{}"
        assert world.reached() == [(EDGE_ADDRESS, 443)]
    for _ in range(2):
        world.begin()
        answered = world.ask(f"{TURNING}:443")
        assert (answered.status, b"its name leads to" in answered.body) == (502, True)


@pytest.mark.security("S31")
@pytest.mark.parametrize("target", ELSEWHERE)
def test_another_port_and_what_is_no_host_and_port_is_refused(world: World, target: str) -> None:
    answered = world.client.say(connect(target.encode().decode("latin-1")))
    # A request line with more spaces than two, and one that is too long, is no request at all.
    # "*" is OPTIONS' alone.
    if answered.body:
        assert_refused(answered)
    else:
        assert answered.status == (405 if target == "*" else 400)
    assert (world.reached(), world.looked_up()) == ([], set())


@pytest.mark.security("S31", "S26")
@pytest.mark.parametrize("target", ODD, ids=ascii)
def test_what_is_odd_is_refused_and_does_no_harm_to_whoever_reads_the_log(world: World, target: str) -> None:
    before = len(world.daemon.log)
    answered = world.client.say(connect(target))
    assert answered.status in (400, 403)
    assert (world.reached(), world.looked_up()) == ([], set())
    assert all(line.isprintable() for line in world.daemon.log[before:].splitlines())
    assert all(character.isprintable() or character == "\n" for character in answered.body.decode())


@pytest.mark.security("S31")
def test_a_refusal_says_which_setting_would_allow_it(world: World) -> None:
    answered = world.ask("elsewhere.example.org:443")
    assert answered.status == 403
    assert answered.body.decode() == (
        "elsewhere.example.org is refused: under [proxy], registries = [...] would have a registry answered here, "
        "and tunnel = [...] any other host passed through\n"
    )


def through(world: World, host: str) -> Inside:
    """Return TLS to a host itself, through the proxy."""
    context = ssl.create_default_context(cafile=str(world.authority.file))
    return Inside(world.client.reach(f"{host}:443"), context, host)


# What is no CONNECT


@pytest.mark.security("S31")
@pytest.mark.parametrize(
    "line",
    [
        *(f"{method} http://{FRONT}/v2/" for method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE", "PURGE", "PRI")),
        f"GET https://{FRONT}/v2/",
        "GET http://127.0.0.1/",
        "GET /v2/",
        f"connect {FRONT}:443",
    ],
)
def test_everything_but_connect_is_405(world: World, line: str) -> None:
    answered = world.client.say(f"{line} HTTP/1.1\r\nHost: {FRONT}\r\n\r\n".encode())
    assert (answered.status, answered.headers["Allow"]) == (405, "CONNECT")
    assert answered.phrase == "this is an HTTP proxy for registries: set HTTPS_PROXY to it, and ask for https:// URLs"
    assert (world.reached(), world.looked_up()) == ([], set())


@pytest.mark.parametrize(
    "words",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT front.example.com:443 HTTP/3.0\r\n\r\n",
        b"CONNECT front.example.com:443\r\n\r\n",
        b"CONNECT  front.example.com:443 HTTP/1.1\r\n\r\n",
        b"CONNECT front.example.com:443 HTTP/1.1\r\nHost: front.example.com\r\nHost: x.test\r\n\r\n",
        b"CONNECT front.example.com:443 HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        b"CONNECT front.example.com:443 HTTP/1.1\r\nX : a\rb\r\n\r\n",
        b"CONNECT front.example.com:443 HTTP/1.1\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n",
        b"CONNECT " + b"x" * (1 << 20) + b":443 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
    ids=lambda words: ascii(words[:60]),
)
def test_what_is_no_proper_request_is_400(world: World, words: bytes) -> None:
    with world.client.open() as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(words)
        received = rest(connection)
    assert received.startswith(b"HTTP/1.1 400 "), received
    assert received.count(b"HTTP/1.1") == 1
    assert (world.reached(), world.looked_up()) == ([], set())


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Content-Length: 0", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("host", [FRONT, PASSED])
def test_connect_has_no_content(world: World, host: str, framing: str) -> None:
    content = {"5": b"hello", "0": b"", "d": b"5\r\nhello\r\n0\r\n\r\n"}[framing[-1]]
    answered = world.client.say(connect(f"{host}:443", framing) + content)
    assert (answered.status, answered.phrase) == (400, "CONNECT has no content")
    assert world.reached() == []


@pytest.mark.parametrize("host", [FRONT, PASSED])
@pytest.mark.parametrize("behind", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", connect(f"{PASSED}:443")])
def test_who_speaks_before_it_is_answered_is_cut_off(world: World, host: str, behind: bytes) -> None:
    """What is behind CONNECT is neither another request nor the tunnel's, for nobody has said that there is one."""
    before, asked = len(world.daemon.log), world.secure.seen.requests()
    with world.client.open() as connection:
        connection.sendall(connect(f"{host}:443") + behind)
        assert rest(connection) == b""
    world.daemon.wait_for_log(f"CONNECT {host}:443: the client spoke before it was answered", after=before)
    assert set(world.reached()) <= {(EDGE_ADDRESS, 443)}
    assert world.secure.seen.requests() == asked


def test_a_request_behind_one_that_is_refused_is_looked_at_like_any(world: World) -> None:
    with world.client.open() as connection:
        connection.sendall(connect("127.0.0.1:443") + connect(f"{FRONT}:22") + connect("x.test:443"))
        assert [read_answer(connection).status for _ in range(3)] == [403, 403, 403]
    assert world.reached() == []


# What is let through


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_registry_is_answered_in_its_place(world: World, version: str) -> None:
    world.secure.script("/v2/team/app/manifests/v1", manifest(BODY, OCI_MANIFEST))
    connection = world.client.open()
    connection.sendall(connect(f"{FRONT}:443", version=version))
    assert read_answer(connection).status == 200
    with Inside(connection, world.client.trust(), FRONT) as inside:
        asked = f"GET /v2/team/app/manifests/v1 HTTP/1.1\r\nHost: {FRONT}\r\n\r\n"
        assert inside.say(asked.encode()).body == BODY
    assert {address for address, _ in world.reached()} <= {FRONT_ADDRESS}


@pytest.mark.parametrize("spelt", [FRONT.upper(), f"{FRONT}.", f"{FRONT.title()}."])
def test_a_registry_has_one_name_however_it_is_spelt(world: World, spelt: str) -> None:
    with Inside(world.client.reach(f"{spelt}:443"), world.client.trust(), FRONT) as inside:
        assert inside.say(f"GET /v2/ HTTP/1.1\r\nHost: {FRONT}\r\n\r\n".encode()).status == 200


@pytest.mark.parametrize("host", [PASSED, EDGE, *(name for name in PUBLIC if name.endswith(".net"))])
def test_what_is_public_and_listed_is_passed_through(world: World, host: str) -> None:
    """Untouched: it is the host's own certificate that a client sees."""
    with through(world, host) as passed:
        assert passed.say(f"GET /v2/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).body == b"{}"
    assert {port for _, port in world.reached()} == {443}
    assert {address for address, _ in world.reached()} <= {EDGE_ADDRESS, "2606:4700::1111"}
