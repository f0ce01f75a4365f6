"""CONNECT in memory: the real parser and the real switch; what is granted, and who logs in, is the test's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.server import Request, Site

from crproxy.forward.connect import ConnectResource, Settings
from crproxy.forward.switching import ConnectChannel, Switch, Switching
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.audit import Record
from crproxy.policy.connecting import HostPattern, Target
from crproxy.web.site import PlainSite
from tests.logs import Log
from tests.memory import Network
from tests.parts.request_ids import without_id
from tests.web.conftest import Browser, Received

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
QUAY = Registry("quay.io")
HELLO = b"\x16\x03\x01 hello"


class Speaker(Protocol):
    """What speaks on a connection that was granted."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


@dataclass
class Given:
    """A connection that was granted (Granted)."""

    what: tuple[object, ...]
    speaker: Speaker = field(default_factory=Speaker)
    begun: int = 0
    abandoned: int = 0
    error: Exception | None = None

    def begin(self, switch: Switch) -> None:
        self.begun += 1
        if self.error is not None:
            raise self.error
        switch.give(self.speaker)

    def abandon(self) -> None:
        self.abandoned += 1


class Stubborn(Deferred[Any]):
    """Has a result in the end, whether or not anybody waits for it."""

    def cancel(self) -> None:
        self.callback(None)


@dataclass
class Giving:
    """Grants what it is asked for (Grants); waits for ``wait`` where there is one."""

    wait: Deferred[Any] | None = None
    error: Exception | None = None
    begin_error: Exception | None = None
    given: list[Given] = field(default_factory=list)

    async def registry(self, host: str, registry: Registry, user: str | None) -> Given:
        return await self._give(host, registry, user)

    async def tunnel(self, target: Target, request: Request) -> Given:
        return await self._give(target)

    async def _give(self, *what: object) -> Given:
        if self.wait is not None:
            await self.wait
        if self.error is not None:
            raise self.error
        self.given.append(Given(what, error=self.begin_error))
        return self.given[-1]


class World:
    """A proxy for docker.io and quay.io, and for what is below example.com; nobody has to log in."""

    def __init__(self) -> None:
        self.network = Network()
        self.clock = self.network.clock
        self.settings = Settings(frozenset({DOCKER_HUB, QUAY}), (HostPattern.parse("*.example.com"),))
        self.grants = Giving()
        self.asked: list[tuple[str | None, str | None]] = []
        self.login: Callable[[str | None], Any] = lambda _: None
        self.records: list[Record] = []
        resource = ConnectResource(lambda: self.settings, self._user_of, self.grants)
        self.site = PlainSite.make(resource, "proxy", self.clock, self.records.append)
        self.site.protocol = ConnectChannel
        self.browser = self.connect()

    async def _user_of(self, authorization: str | None, client: str | None) -> str | None:
        self.asked.append((authorization, client))
        found = self.login(authorization)
        return cast("str | None", await found if isinstance(found, Deferred) else found)

    def connect(self) -> Browser:
        return Browser(cast(Site, Switching(self.site)), self.network)

    def ask(self, target: str = "quay.io:443", *lines: str, method: str = "CONNECT") -> None:
        self.browser.ask(target, *lines, method=method, host=target)

    def answer(self, target: str = "quay.io:443", *lines: str, method: str = "CONNECT") -> Received:
        """The answer to what is asked, alone."""
        self.browser.wire.clear()
        self.ask(target, *lines, method=method)
        return self.browser.received()

    @property
    def given(self) -> Given:
        (given,) = self.grants.given
        return given

    def assert_granted(self) -> None:
        assert self.browser.wire.value().endswith(ESTABLISHED)
        assert self.given.begun == 1
        # Nothing of HTTP is left: what comes is not its.
        self.browser.send(HELLO)
        assert self.given.speaker.heard == HELLO
        assert self.clock.getDelayedCalls() == []
        assert len(self.site.connections) == 0
        assert self.browser.wire.producer is None
        assert not self.browser.wire.paused

    @property
    def phrase(self) -> str:
        line: str = self.browser.wire.value().partition(b"\r\n")[0].decode("ascii")
        return without_id(line.split(" ", 2)[2], self.browser.received().one("X-Request-Id"))


def words(received: Received) -> str:
    """What a client is told, without the id of its request."""
    return without_id(received.body.decode("ascii"), received.one("X-Request-Id"))


@pytest.fixture
def world() -> World:
    return World()


def unauthorized(_: object) -> None:
    raise RegistryError(ErrorCode.UNAUTHORIZED, "log in")


def by_password(authorization: str | None) -> str | None:
    if authorization != "Basic right":
        unauthorized(authorization)
    return "alice"


# What is granted


def test_a_registry_is_granted(world: World) -> None:
    world.ask()
    assert world.browser.wire.value() == ESTABLISHED
    world.assert_granted()
    assert world.given.what == ("quay.io", QUAY, None)


@pytest.mark.parametrize("host", ["docker.io", "registry-1.docker.io", "Index.Docker.io."])
def test_docker_hub_is_granted_by_each_of_its_names(world: World, host: str) -> None:
    world.ask(f"{host}:443")
    world.assert_granted()
    assert world.given.what == (host.lower().rstrip("."), DOCKER_HUB, None)


def test_a_host_that_is_listed_is_granted(world: World) -> None:
    world.ask("a.example.com:443")
    world.assert_granted()
    assert world.given.what == (Target("a.example.com", 443),)


def test_what_is_said_on_it_is_between_the_two(world: World) -> None:
    world.ask()
    transport: Any = world.given.speaker.transport
    transport.write(b"welcome")
    assert world.browser.wire.value() == ESTABLISHED + b"welcome"
    world.browser.leave()
    assert world.given.speaker.lost
    assert world.given.abandoned == 0


def test_what_counts_now_is_asked_each_time(world: World) -> None:
    world.settings = Settings()
    assert world.answer().status == 403
    world.settings = Settings(frozenset({QUAY}))
    world.ask()
    world.assert_granted()


@pytest.mark.parametrize("lines", [(), ("Connection: close",), ("Proxy-Connection: keep-alive",)])
def test_it_stays_open_whatever_the_client_says_of_the_connection(world: World, lines: tuple[str, ...]) -> None:
    world.ask("quay.io:443", *lines)
    world.assert_granted()


def test_http_1_0_is_enough(world: World) -> None:
    world.browser.send(b"CONNECT quay.io:443 HTTP/1.0\r\n\r\n")
    world.assert_granted()


def test_a_header_may_come_in_pieces(world: World) -> None:
    for byte in b"CONNECT quay.io:443 HTTP/1.1\r\nHost: quay.io:443\r\n\r\n":
        world.browser.send(bytes([byte]))
    world.assert_granted()


# What is refused


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "FOO"])
@pytest.mark.parametrize("target", ["/v2/", "http://quay.io/v2/", "https://quay.io/v2/", "quay.io:443"])
def test_nothing_but_connect_is_answered(world: World, method: str, target: str) -> None:
    received = world.answer(target, method=method)
    assert (received.status, received.one("Allow")) == (405, "CONNECT")
    assert str(received.one("Server")).startswith("crproxy/")
    assert int(received.one("Content-Length") or 0) > 0
    assert (received.body == b"") is (method == "HEAD")
    assert "set HTTPS_PROXY to it" in world.phrase
    # And it is where it was.
    assert not world.browser.wire.disconnecting
    world.browser.wire.clear()
    world.ask()
    world.assert_granted()


def test_an_asterisk_is_no_host(world: World) -> None:
    assert world.answer("*").status == 405


@pytest.mark.parametrize("target", ["quay.io", "https://quay.io:443/", "alice:secret@quay.io:443", "/", "quay.io:0"])
def test_what_is_no_target_is_told_what_one_is(world: World, target: str) -> None:
    received = world.answer(target)
    assert (received.status, words(received)) == (400, "CONNECT takes a host and a port, such as ghcr.io:443\n")


@pytest.mark.parametrize("lines", [("Content-Length: 5",), ("Content-Length: 0",), ("Transfer-Encoding: chunked",)])
def test_one_with_content_is_refused(world: World, lines: tuple[str, ...]) -> None:
    world.ask("quay.io:443", *lines)
    if lines != ("Content-Length: 0",):
        assert world.browser.silent
        world.browser.send(b"5\r\nhello\r\n0\r\n\r\n" if "chunked" in lines[0] else b"hello")
    assert (world.browser.received().status, words(world.browser.received())) == (400, "CONNECT has no content\n")
    assert world.grants.given == []


@pytest.mark.parametrize("target", ["ghcr.io:443", "quay.io:80", "example.com:443", "127.0.0.1:443", "[::1]:443"])
def test_what_is_not_allowed_is_refused_in_words_that_go_clients_show(world: World, target: str) -> None:
    received = world.answer(target)
    assert received.status == 403
    assert "is refused" in world.phrase
    assert words(received) == f"{world.phrase}\n"
    assert received.one("Content-Type") == "text/plain; charset=utf-8"
    assert world.grants.given == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RegistryError(ErrorCode.UNAVAILABLE, "no CA may sign"), 503),
        (RegistryError(ErrorCode.UNAVAILABLE, "it cannot be connected to", status=502), 502),
    ],
)
def test_what_cannot_be_had_is_refused(world: World, error: RegistryError, status: int) -> None:
    world.grants.error = error
    received = world.answer()
    assert (received.status, words(received)) == (status, f"{error.message}\n")
    world.grants.error = None
    world.browser.wire.clear()
    world.ask()
    world.assert_granted()


def test_a_message_cannot_become_another_field(world: World) -> None:
    world.grants.error = RegistryError(ErrorCode.UNAVAILABLE, "it said: é\r\nX-Evil: 1\r\n\r\n\x00")
    received = world.answer()
    assert world.phrase == "it said: ???X-Evil: 1?????"
    assert received.one("X-Evil") is None
    assert words(received) == "it said: ???X-Evil: 1?????\n"


def test_the_log_has_each_refusal_on_one_line_and_not_all_of_it(world: World) -> None:
    with Log() as log:
        world.browser.ask("ghcr.io:443", method="CONNECT")
        world.browser.ask("x" * 5000 + ":443", method="CONNECT")
    (first, second) = log.lines
    assert first.startswith("CONNECT ghcr.io:443: ghcr.io is refused")
    assert second.startswith("CONNECT xxx")
    assert len(second) < 500


# Logins


@pytest.mark.parametrize("again", ["here", "elsewhere", "at once"])
def test_who_is_asked_to_log_in_may_do_so_on_the_same_connection_or_another(world: World, again: str) -> None:
    world.login = by_password
    received = world.answer("quay.io:443", *(["Connection: close"] if again == "elsewhere" else []))
    assert (received.status, words(received)) == (407, "log in\n")
    assert received.one("Proxy-Authenticate") == 'Basic realm="crproxy", charset="UTF-8"'
    assert received.one("Connection") == ("close" if again == "elsewhere" else None)
    assert world.browser.wire.disconnecting is (again == "elsewhere")
    if again == "elsewhere":
        world.browser = world.connect()
    if again == "at once":
        # A second refusal, and what follows it in the same piece.
        asked = "CONNECT quay.io:443 HTTP/1.1\r\nHost: quay.io:443\r\n"
        world.browser.send(f"{asked}\r\n{asked}Proxy-Authorization: Basic right\r\n\r\n".encode())
    else:
        world.ask("quay.io:443", "Proxy-Authorization: Basic right")
    assert world.given.what == ("quay.io", QUAY, "alice")
    assert world.browser.wire.value().endswith(ESTABLISHED)
    world.browser.send(HELLO)
    assert world.given.speaker.heard == HELLO


def test_who_logs_in_is_told_from_whom_it_asks(world: World) -> None:
    world.ask("quay.io:443", "Authorization: Basic registry", "Proxy-Authorization: Basic proxy")
    assert world.asked == [("Basic proxy", "192.168.1.1")]


def test_what_is_refused_anyway_is_told_to_nobody_who_has_not_logged_in(world: World) -> None:
    world.login = unauthorized
    assert world.answer("ghcr.io:443").status == 407
    assert world.answer("a.example.com:443").status == 407


def test_too_many_logins_are_for_later(world: World) -> None:
    def many(_: object) -> None:
        raise RegistryError(ErrorCode.TOOMANYREQUESTS, "too many passwords", retry_after=5)

    world.login = many
    received = world.answer()
    assert (received.status, received.one("Retry-After")) == (429, "5")
    assert received.one("Proxy-Authenticate") is None


def test_the_audit_log_names_who_was_refused(world: World) -> None:
    world.login = by_password
    world.answer("ghcr.io:443", "Proxy-Authorization: Basic right")
    world.answer("ghcr.io:443")
    assert [(each.user, each.status, each.target, each.site) for each in world.records] == [
        ("alice", 403, "ghcr.io:443", "proxy"),
        (None, 407, "ghcr.io:443", "proxy"),
    ]


# Those who leave, and who speak too early


def test_one_that_leaves_while_it_logs_in_is_forgotten(world: World) -> None:
    cancelled: list[object] = []
    waiting: Deferred[None] = Deferred(cancelled.append)
    world.login = lambda _: waiting
    with Log() as log:
        world.ask()
        world.browser.leave()
    assert cancelled == [waiting]
    assert log.complaints == []
    assert world.grants.given == []
    assert world.clock.getDelayedCalls() == []


@pytest.mark.parametrize("where", ["login", "grants"])
@pytest.mark.parametrize("error", [None, RegistryError(ErrorCode.UNAUTHORIZED, "no"), OSError("broken")])
def test_one_that_leaves_is_not_answered_whatever_comes_of_it(
    world: World, where: str, error: Exception | None
) -> None:
    """What it waits for may end in its own way."""
    stubborn = Stubborn()

    async def waited(_: object) -> None:
        await stubborn
        if error is not None:
            raise error

    if where == "login":
        world.login = lambda said: shielded(Deferred.fromCoroutine(waited(said)))
    else:
        world.grants.wait, world.grants.error = stubborn, error
    with Log() as log:
        world.ask()
        world.browser.leave()
        assert world.browser.silent
    assert log.failures == ([OSError] if isinstance(error, OSError) else [])
    if error is None:
        assert (world.given.begun, world.given.abandoned) == (0, 1)
    assert world.clock.getDelayedCalls() == []


def shielded(inner: Deferred[Any]) -> Deferred[Any]:
    """What is cancelled by itself, and has its result from another."""
    outer: Deferred[Any] = Deferred(lambda _: inner.cancel())
    inner.addBoth(outer.callback)
    return outer


@pytest.mark.parametrize("waits", [False, True])
def test_one_that_speaks_before_it_is_answered_is_cut_off(world: World, waits: bool) -> None:
    """What is read of it is no longer in the socket, where TLS begins."""
    asked = b"CONNECT quay.io:443 HTTP/1.1\r\nHost: quay.io:443\r\n\r\n"
    with Log() as log:
        if waits:
            world.grants.wait = Deferred()
            world.browser.send(asked)
            world.browser.send(HELLO)
            world.grants.wait.callback(None)
        else:
            world.browser.send(asked + HELLO)
    assert world.browser.wire.aborted
    assert world.browser.silent
    assert (world.given.begun, world.given.abandoned) == (0, 1)
    assert "CONNECT quay.io:443: the client spoke before it was answered" in log.lines
    world.browser.leave()
    assert world.clock.getDelayedCalls() == []
    assert len(world.site.connections) == 0


def test_one_that_says_much_before_it_is_answered_is_held_back(world: World) -> None:
    world.grants.wait = Deferred()
    world.ask()
    while not world.browser.wire.paused:
        world.browser.send(b"x" * 1000)
    world.grants.wait.callback(None)
    assert world.browser.wire.aborted


# Our own mistakes


def test_an_error_of_ours_is_said_to_be_one(world: World) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    world.login = broken
    with Log() as log:
        received = world.answer()
    assert (received.status, words(received)) == (500, "crproxy itself failed; its log says why\n")
    assert log.failures == [ZeroDivisionError]


def test_where_nobody_can_speak_the_connection_ends(world: World) -> None:
    world.grants.begin_error = ZeroDivisionError()
    with Log() as log:
        world.ask()
    assert log.failures == [ZeroDivisionError]
    assert world.browser.wire.aborted
    assert world.given.abandoned == 1


# The end of the daemon


def test_one_that_is_being_answered_when_the_daemon_stops_is_told_that_it_is_the_last(world: World) -> None:
    world.grants.wait = Deferred()
    world.ask("quay.io:443")
    closed = world.site.connections.close()
    world.grants.error = RegistryError(ErrorCode.UNAVAILABLE, "not now")
    world.grants.wait.callback(None)
    assert (world.browser.received().status, world.browser.received().one("Connection")) == (503, "close")
    assert world.browser.wire.disconnecting
    world.browser.leave()
    assert closed.called
