"""The client of Valkey against a real one: killed, started again, silent, full, and somebody else altogether."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater

from crproxy.config import ValkeyAddress
from crproxy.fleet import connection
from crproxy.fleet import valkey as valkey_module
from crproxy.fleet.valkey import Away, Script, Valkey
from tests.logs import Log
from tests.parts import valkey as part
from tests.parts.forwarder import Forwarder
from tests.reactor import on_the_reactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

ECHO = Script("return {KEYS[1], ARGV[1]}")


@pytest.fixture
def server() -> Iterator[part.Valkey]:
    with part.Valkey() as server:
        yield server


def address(server: part.Valkey, **changed: Any) -> ValkeyAddress:
    return replace(ValkeyAddress("127.0.0.1", server.port, password=server.password), **changed)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time limit of ours be over because this machine stood still: what is waited for comes, or is refused."""
    monkeypatch.setattr(connection, "_CONNECT_SECONDS", 60.0)
    for module in (connection, valkey_module):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 60.0)


class Client:
    """A client that is stopped at the end, however the test goes."""

    def __init__(self, where: ValkeyAddress, **options: Any) -> None:
        self.valkey = Valkey(where, "test", reactor, reactor.seconds, **options)

    def __enter__(self) -> Valkey:
        self.valkey.start()
        return self.valkey

    def __exit__(self, *_: object) -> None:
        self.valkey.stop()


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what is told to nobody."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError(f"not within {seconds} s")


async def fails(asking: Any) -> str:
    with pytest.raises(Away) as raised:
        await asking
    return str(raised.value)


@on_the_reactor
async def test_it_is_asked(server: part.Valkey) -> None:
    with Client(address(server)) as valkey:
        await until(lambda: valkey.is_up)
        assert await valkey.ask("SET", valkey.key("a", "b"), b"\xff") == b"OK"
        assert await valkey.ask("GET", "test:a:b") == b"\xff"
        assert await valkey.ask("GET", "test:none") is None
        assert await valkey.ask("INCR", "test:number") == 1
        assert await valkey.run(ECHO, ["test:k"], ["v"]) == [b"test:k", b"v"]


@on_the_reactor
async def test_before_it_is_there_nobody_waits_for_it(server: part.Valkey) -> None:
    with Client(address(server)) as valkey:
        assert "is away" in await fails(valkey.ask("PING"))
        await until(lambda: valkey.is_up)


@on_the_reactor
async def test_a_script_that_it_has_forgotten_is_sent_again(server: part.Valkey) -> None:
    with Client(address(server)) as valkey:
        await until(lambda: valkey.is_up)
        for _ in range(2):
            assert await valkey.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
            await valkey.ask("SCRIPT", "FLUSH")
        assert await valkey.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
    # Whole the first time, by its hash from then on, and both where that is not known any more.
    assert server.calls()["evalsha"] == 2


@on_the_reactor
async def test_large_values_and_many_commands_at_once(server: part.Valkey) -> None:
    with Client(address(server)) as valkey:
        await until(lambda: valkey.is_up)
        large = b"\r\n" * 500_000
        await valkey.ask("SET", "test:large", large)
        asked = [Deferred.fromCoroutine(valkey.ask("ECHO", str(number))) for number in range(1000)]
        assert await valkey.ask("GET", "test:large") == large
        assert await gatherResults(asked) == [str(number).encode() for number in range(1000)]


@on_the_reactor
async def test_by_a_unix_socket_and_in_another_database(server: part.Valkey) -> None:
    with Client(ValkeyAddress(path=str(server.socket), database=3)) as valkey:
        await until(lambda: valkey.is_up)
        await valkey.ask("SET", "test:a", "b")
    assert server.ask("GET", "test:a") is None
    assert "db3" in server.ask("INFO", "keyspace")


class TestLogin:
    @on_the_reactor
    async def test_with_the_password_alone(self) -> None:
        with part.Valkey(password="hush \u00fc") as server, Client(address(server)) as valkey:
            await until(lambda: valkey.is_up)

    @pytest.mark.usefixtures("patient")
    @on_the_reactor
    async def test_by_a_name(self) -> None:
        acl = "user crproxy on >hush ~test:* &* +@all"
        with part.Valkey(acl) as server, Client(address(server, username="crproxy", password="hush")) as valkey:
            await until(lambda: valkey.is_up)
            # Of what it may not have, it is told so, once.
            with Log() as log:
                assert "NOPERM" in await fails(valkey.ask("GET", "other"))
                assert "NOPERM" in await fails(valkey.ask("GET", "other"))
            assert len([line for line in log.complaints if "refuses what it is asked: NOPERM" in line]) == 1
            assert valkey.is_up

    @pytest.mark.usefixtures("patient")
    @on_the_reactor
    async def test_a_wrong_one_is_tried_again_until_it_is_right(self) -> None:
        with part.Valkey(password="hush") as server, Log() as log:
            with Client(address(server, password="wrong")) as valkey:
                await until(lambda: log.complaints)
                assert "is away" in log.complaints[0]
                assert "WRONGPASS" in log.complaints[0]
                assert "hush" not in log.complaints[0]
                server.ask("CONFIG", "SET", "requirepass", "wrong")
                await until(lambda: valkey.is_up)
            assert len(log.complaints) == 1


class TestTls:
    @on_the_reactor
    async def test_it_is_spoken(self, server: part.Valkey) -> None:
        ca = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        with Forwarder(server.port, context) as secure:
            where = ValkeyAddress("127.0.0.1", secure.port, tls=True, authorities=ca.cert_pem.bytes().decode())
            with Client(where) as valkey:
                await until(lambda: valkey.is_up)
                assert await valkey.ask("ECHO", "x" * 100_000) == b"x" * 100_000

    @pytest.mark.usefixtures("patient")
    @on_the_reactor
    async def test_whom_nobody_vouches_for_is_not_asked(self, server: part.Valkey) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        authorities = trustme.CA().cert_pem.bytes().decode()
        with Forwarder(server.port, context) as secure, Log() as log:
            with Client(ValkeyAddress("127.0.0.1", secure.port, tls=True, authorities=authorities)) as valkey:
                await until(lambda: log.complaints)
                assert not valkey.is_up
            assert server.calls().get("eval", 0) == 0


class TestAway:
    @on_the_reactor
    async def test_killed_and_started_again(self, server: part.Valkey) -> None:
        with Log() as log, Client(address(server)) as valkey:
            await until(lambda: valkey.is_up)
            backs: list[bool] = []
            valkey.on_up(lambda: backs.append(valkey.is_up))
            server.kill()
            await until(lambda: not valkey.is_up)
            assert "is away" in await fails(valkey.ask("PING"))
            server.again()
            await until(lambda: valkey.is_up)
            assert await valkey.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
            assert backs == [True]
            assert [line for line in log.complaints if "goes on alone until it is back" in line] == log.complaints
            assert len(log.complaints) == 1
            assert len([line for line in log.lines if "is back after" in line]) == 1

    @on_the_reactor
    async def test_what_it_does_not_answer_is_waited_for_once(self, server: part.Valkey) -> None:
        with Log() as log, Client(address(server)) as valkey:
            await until(lambda: valkey.is_up)
            with server.frozen():
                both = [Deferred.fromCoroutine(fails(valkey.ask("PING"))) for _ in range(2)]
                assert "it has not answered for 1 s" in (await gatherResults(both))[0]
                # Now nobody waits any more: it fails before the reactor has another turn.
                asked = Deferred.fromCoroutine(valkey.ask("PING"))
                assert asked.called
                await fails(asked)
                assert not valkey.is_up
            await until(lambda: valkey.is_up)
            assert len(log.complaints) == 1

    @on_the_reactor
    async def test_it_is_seen_without_a_question(self, server: part.Valkey) -> None:
        with Client(address(server)) as valkey:
            await until(lambda: valkey.is_up)
            with server.frozen():
                await until(lambda: not valkey.is_up)

    @pytest.mark.usefixtures("patient")
    @on_the_reactor
    async def test_one_that_takes_nothing_is_away(self, server: part.Valkey) -> None:
        """Such as a replica: what is agreed on cannot be written there."""
        with Log() as log, Client(address(server)) as valkey:
            await until(lambda: valkey.is_up)
            server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
            await until(lambda: not valkey.is_up)
            assert "NOREPLICAS" in log.complaints[0]
            server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
            await until(lambda: valkey.is_up)

    @pytest.mark.usefixtures("patient")
    @on_the_reactor
    async def test_nobody_is_there_at_the_start(self, server: part.Valkey) -> None:
        server.kill()
        with Log() as log, Client(address(server)) as valkey:
            await until(lambda: log.complaints)
            server.again()
            await until(lambda: valkey.is_up)
            assert len(log.complaints) == 1

    @on_the_reactor
    async def test_who_need_not_say_so_does_not(self, server: part.Valkey) -> None:
        with Log() as log, Client(address(server), says=False) as valkey:
            await until(lambda: valkey.is_up)
            server.kill()
            await until(lambda: not valkey.is_up)
            server.again()
            await until(lambda: valkey.is_up)
            assert log.lines == []

    @pytest.mark.usefixtures("patient")
    @on_the_reactor
    async def test_who_asks_may_go_away(self, server: part.Valkey) -> None:
        with Log() as log, Client(address(server)) as valkey:
            await until(lambda: valkey.is_up)
            with server.frozen():
                asked = Deferred.fromCoroutine(valkey.ask("ECHO", "one"))
                asked.cancel()
                with pytest.raises(CancelledError):
                    await asked
            assert await valkey.ask("ECHO", "two") == b"two"
            assert log.complaints == []

    @pytest.mark.usefixtures("patient")
    @on_the_reactor
    async def test_stopped_while_asked(self, server: part.Valkey) -> None:
        with Log() as log:
            with Client(address(server)) as valkey:
                await until(lambda: valkey.is_up)
                with server.frozen():
                    asked = Deferred.fromCoroutine(valkey.ask("PING"))
                    valkey.stop()
                    await fails(asked)
            assert log.complaints == []


class TestSubscribing:
    @on_the_reactor
    async def test_what_is_published_is_heard(self, server: part.Valkey) -> None:
        heard: list[bytes] = []
        listening: list[None] = []
        client = Client(address(server))
        client.valkey.subscribe("test:all", heard.append, lambda: listening.append(None))
        with client as valkey:
            await until(lambda: listening and valkey.is_up)
            for number in range(300):
                await valkey.ask("PUBLISH", "test:all", str(number))
            await until(lambda: len(heard) == 300)
            assert heard == [str(number).encode() for number in range(300)]

    @on_the_reactor
    async def test_who_was_away_is_told_that_something_was_missed(self, server: part.Valkey) -> None:
        heard: list[bytes] = []
        listening: list[None] = []
        client = Client(address(server))
        client.valkey.subscribe("test:all", heard.append, lambda: listening.append(None))
        with client as valkey:
            await until(lambda: listening)
            server.again()
            await until(lambda: len(listening) == 2 and valkey.is_up)
            await valkey.ask("PUBLISH", "test:all", "x")
            await until(lambda: heard)

    @on_the_reactor
    async def test_silence_is_noticed(self, server: part.Valkey) -> None:
        listening: list[None] = []
        client = Client(address(server))
        client.valkey.subscribe("test:all", lambda _: None, lambda: listening.append(None))
        with client:
            await until(lambda: listening)
            with server.frozen():
                await until(lambda: not client.valkey.is_up)
                await deferLater(reactor, 2.5)  # a look, and the second that it may take
            await until(lambda: len(listening) == 2)


@pytest.mark.parametrize(
    "says",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-ERR max number of clients reached\r\n",
        b"*1\r\n$-5\r\n",
        b"+OK\r\n" * 50,
        b"",
    ],
)
@on_the_reactor
async def test_somebody_else_at_the_address_is_away(says: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, Log() as log:
        threading.Thread(target=_answer_all, args=(listening, says), daemon=True).start()
        with Client(ValkeyAddress("127.0.0.1", listening.getsockname()[1])) as valkey:
            await until(lambda: log.complaints)
            assert not valkey.is_up
            assert "is away" in log.complaints[0]
        listening.shutdown(socket.SHUT_RDWR)
    assert log.failures == []


def _answer_all(listening: socket.socket, says: bytes) -> None:
    while True:
        try:
            accepted, _ = listening.accept()
        except OSError:
            return
        with accepted:
            accepted.recv(1024)
            accepted.sendall(says)
