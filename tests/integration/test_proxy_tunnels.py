"""What the HTTP proxy passes through, as it is: at the pace of whoever is slower, for as long as something is said.

The tests play both ends, in a network where every address of the world is theirs.
"""

from __future__ import annotations

import hashlib
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.parts.admin_socket import tell
from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, configuration
from tests.parts.internet import Internet
from tests.parts.name_server import NameServer
from tests.parts.proxy_client import ProxyClient, connect, read_answer, rest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

HOST, ADDRESS, NOBODY = "host.example.net", "151.101.1.1", "nobody.example.net"
MEBIBYTE = 1 << 20
CLIENT = "127.0.0.3"
# Discards what is unsent, and sends RST (socket(7), SO_LINGER).
RESET = struct.pack("ii", 1, 0)


@dataclass
class World:
    """A host that the test accepts connections of, and the daemons that lead to it."""

    internet: Internet
    listener: socket.socket
    directories: Callable[[str], Path]

    @contextmanager
    def daemon(self, more: str = "") -> Iterator[tuple[Daemon, ProxyClient]]:
        """Start a daemon.

        Arguments:
            more: of its configuration, from the table of the proxy on.
        """
        config = configuration({}) + LISTEN + more
        with Daemon(self.directories("daemon"), config, node=self.internet.node) as daemon:
            port = int(daemon.wait_for_log(r"clients may have http://\S+:(\d+) as")[1])
            yield daemon, ProxyClient(("127.0.0.1", port), daemon.data_dir, self.internet.entered)

    @contextmanager
    def both(self, client: ProxyClient, source: str | None = None) -> Iterator[tuple[socket.socket, socket.socket]]:
        """Give both ends of a tunnel: the client's and the host's."""
        with client.reach(f"{HOST}:443", source=source) as here, self.accept() as there:
            yield here, there

    def accept(self) -> socket.socket:
        accepted, _ = self.listener.accept()
        accepted.settimeout(30)
        return accepted


LISTEN = f'[proxy]\nlisten = ["tcp:0:interface=127.0.0.1"]\ntunnel = ["{HOST}", "{NOBODY}"]\n'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, workers: int) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("net")
    with ExitStack() as running:
        internet = running.enter_context(Internet(directory, Authority(directory).file))
        running.enter_context(NameServer(internet.resolver(), {HOST: [ADDRESS]}))
        listener = running.enter_context(internet.listener(443))
        listener.settimeout(30)
        yield World(internet, listener, tmp_path_factory.mktemp)


@pytest.fixture(scope="module")
def usual(world: World) -> Iterator[tuple[Daemon, ProxyClient]]:
    with world.daemon() as started:
        yield started


@pytest.fixture
def client(usual: tuple[Daemon, ProxyClient]) -> Iterator[ProxyClient]:
    daemon, client = usual
    before = len(daemon.log)
    yield client
    daemon.assert_calm(after=before)


def receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = connection.recv(size - len(received))
        assert piece, f"ended after {len(received)} bytes"
        received += piece
    return received


def ended(connection: socket.socket) -> bool:
    """Wait until the other side has ended it."""
    with suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def echo(one: socket.socket, other: socket.socket, words: bytes = b"hello") -> None:
    for sender, receiver in ((one, other), (other, one)):
        sender.sendall(words)
        assert receive(receiver, len(words)) == words


def test_bytes_pass_as_they_are(world: World, usual: tuple[Daemon, ProxyClient], client: ProxyClient) -> None:
    """Also where the host is the first to speak, and where nobody speaks TLS."""
    daemon, _ = usual
    before = len(daemon.log)
    every = bytes(range(256))
    with world.both(client, CLIENT) as (here, there):
        there.sendall(b"220 ready\r\n")
        assert receive(here, 11) == b"220 ready\r\n"
        echo(here, there, every * 10)
    line = rf'{CLIENT} - - \[.*\] "CONNECT {HOST}:443 HTTP/1.1" 200 2571 .* site=proxy'
    daemon.wait_for_log(line, after=before)


def test_much_passes_in_both_directions_at_once(world: World, client: ProxyClient) -> None:
    body = hashlib.shake_256(b"much").digest(8 * MEBIBYTE)
    with world.both(client) as (here, there):
        received: dict[socket.socket, bytes] = {}
        senders = [threading.Thread(target=end.sendall, args=(body,)) for end in (here, there)]
        readers = [
            threading.Thread(target=lambda end=end: received.update({end: receive(end, len(body))}))
            for end in (here, there)
        ]
        for thread in (*senders, *readers):
            thread.start()
        for thread in (*senders, *readers):
            thread.join()
        assert received == {here: body, there: body}


# Its end


@pytest.mark.parametrize("who", ["client", "host"])
@pytest.mark.parametrize("how", ["closed", "half closed"])
def test_what_was_sent_before_the_end_arrives_and_both_sides_end(
    world: World, client: ProxyClient, who: str, how: str
) -> None:
    """A tunnel is closed with either side, and what came from that is sent on (RFC 9110, 9.3.6)."""
    body = hashlib.shake_256(how.encode()).digest(4 * MEBIBYTE)
    with world.both(client) as (here, there):
        ending, other = (here, there) if who == "client" else (there, here)
        sender = threading.Thread(target=send_and_end, args=(ending, body, how))
        sender.start()
        assert receive(other, len(body)) == body
        assert ended(other)
        sender.join()
        if how == "half closed":
            assert ended(ending)


def send_and_end(connection: socket.socket, body: bytes, how: str) -> None:
    connection.sendall(body)
    if how == "closed":
        connection.close()
    else:
        connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("who", ["client", "host"])
def test_a_side_that_is_reset_ends_the_other(world: World, client: ProxyClient, who: str) -> None:
    with world.both(client) as (here, there):
        echo(here, there)
        ending, other = (here, there) if who == "client" else (there, here)
        ending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        ending.close()
        assert ended(other)


def test_a_host_that_hangs_up_at_once_ends_it(world: World, client: ProxyClient) -> None:
    with client.reach(f"{HOST}:443") as here:
        world.accept().close()
        assert ended(here)


def test_a_host_that_does_not_exist_is_told_of(client: ProxyClient) -> None:
    answered = client.ask(f"{NOBODY}:443")
    assert (answered.status, answered.phrase) == (502, f"{NOBODY} cannot be connected to: its name cannot be resolved")


@pytest.mark.security("S31", "S20")
def test_an_idle_tunnel_ends(world: World) -> None:
    with world.daemon('tunnel_idle = "2s"\n') as (daemon, client), world.both(client, CLIENT) as (here, there):
        with world.both(client) as (busy, host):
            gate, until = threading.Event(), time.monotonic() + 5
            while time.monotonic() < until:
                # In one direction alone.
                host.sendall(b"x")
                assert receive(busy, 1) == b"x"
                gate.wait(0.2)
            assert ended(here)
            assert ended(there)
            echo(busy, host)
        daemon.wait_for_log(rf'{CLIENT} - - .* "CONNECT {HOST}:443 HTTP/1.1" 200 0 ')


@pytest.mark.security("S31", "S20")
def test_tunnels_that_were_never_opened_leave_nothing(
    world: World, usual: tuple[Daemon, ProxyClient], client: ProxyClient
) -> None:
    daemon, _ = usual
    with world.both(client) as (here, there):
        echo(here, there)
    descriptors = daemon.descriptors()
    for _ in range(50):
        with client.open() as connection:
            # Cut off: it speaks before it is answered.
            connection.sendall(connect(f"{HOST}:443") + b"x")
            with world.accept() as there:
                assert rest(connection) == b""
                assert ended(there)
        with client.open() as connection:
            connection.sendall(connect(f"{HOST}:443"))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    drain(world)
    assert daemon.descriptors() <= descriptors + 4


def drain(world: World) -> None:
    """See the end of what was connected for nobody, if it was."""
    world.listener.settimeout(1)
    try:
        while True:
            accepted, _ = world.listener.accept()
            with accepted:
                accepted.settimeout(30)
                assert ended(accepted)
    except TimeoutError:
        world.listener.settimeout(30)


# Its pace


@pytest.mark.security("S31", "S20")
@pytest.mark.parametrize("slow", ["client", "host"])
def test_who_takes_nothing_has_the_other_side_wait(
    world: World, usual: tuple[Daemon, ProxyClient], client: ProxyClient, slow: str
) -> None:
    daemon, _ = usual
    piece = hashlib.shake_256(b"piece").digest(MEBIBYTE)
    with ExitStack() as tunnels:
        ends = [tunnels.enter_context(world.both(client)) for _ in range(8)]
        for pair in ends:
            echo(*pair)
        before = daemon.rss_bytes()
        sent = []
        for here, there in ends:
            sender = there if slow == "client" else here
            sent.append(sent_until_it_is_full(sender, piece))
        # Of what was taken the kernel has all but a few pieces: megabytes for each of the four sockets.
        assert max(sent) < 64 * MEBIBYTE
        assert daemon.rss_bytes() - before < 8 * MEBIBYTE
        for (here, there), count in zip(ends, sent, strict=True):
            receiver = here if slow == "client" else there
            received = receive(receiver, count)
            assert hashlib.sha256(received).digest() == hashlib.sha256(repeated(piece, count)).digest()
            echo(here, there)


def sent_until_it_is_full(connection: socket.socket, piece: bytes) -> int:
    """Send ``piece`` again and again until nobody takes it for a second; return the bytes that were taken."""
    connection.settimeout(1)
    sent = 0
    with suppress(TimeoutError):
        while sent < 256 * MEBIBYTE:
            sent += connection.send(piece[sent % len(piece) :])
    connection.settimeout(30)
    return sent


def repeated(piece: bytes, count: int) -> bytes:
    return (piece * (count // len(piece) + 1))[:count]


# How many there are, and what becomes of them in the end


@pytest.mark.security("S31", "S20")
def test_tunnels_count_as_connections_and_are_shown(world: World) -> None:
    with (
        world.daemon("[limits]\nconnections_per_client = 2\n") as (daemon, client),
        world.both(client, CLIENT) as first,
        world.both(client, CLIENT) as second,
    ):
        refused = client.say(connect(f"{HOST}:443"), CLIENT)
        assert (refused.status, b"too many connections" in refused.body) == (429, True)
        for pair in (first, second):
            echo(*pair)
        assert shown(daemon) == 2
        first[0].close()
        assert ended(first[1])
        with world.both(client, CLIENT) as third:
            echo(*third)
            assert shown(daemon) == 2


def shown(daemon: Daemon) -> int:
    metrics = tell(daemon.data_dir / "admin.sock", "GET", "/metrics").body.decode()
    found = re.search(r'^crproxy_connections\{site="proxy"\} (\S+)$', metrics, re.MULTILINE)
    assert found is not None, metrics
    return int(float(found[1]))


def test_a_tunnel_may_go_on_for_a_while_when_the_daemon_stops(world: World) -> None:
    with world.daemon() as (daemon, client), world.both(client) as (here, there):
        echo(here, there)
        seen = len(daemon.log)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for_log("stopping: 1 connections", after=seen)
        echo(here, there)
        here.close()
        assert ended(there)
        daemon.wait(15)


def test_a_tunnel_is_cut_when_the_daemon_has_waited_long_enough(world: World) -> None:
    with world.daemon('[listen]\ngrace = "1s"\n') as (daemon, client), world.both(client) as (here, there):
        echo(here, there)
        daemon.signal(signal.SIGTERM)
        assert ended(here)
        assert ended(there)
        daemon.wait(15)


def test_the_proxy_takes_no_one_new_when_the_daemon_stops(world: World) -> None:
    with world.daemon() as (daemon, client), world.both(client) as (here, there):
        idle = client.open()
        with idle:
            idle.sendall(connect("elsewhere.example.com:443"))
            assert read_answer(idle).status == 403
            daemon.signal(signal.SIGTERM)
            assert ended(idle)
        echo(here, there)
        with pytest.raises(ConnectionRefusedError):
            client.open()
        there.close()
        assert ended(here)
        daemon.wait(15)
