"""TLS on the socket: what a peer may do to it, and what it promises to whoever speaks inside."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import INegotiated, ISSLTransport

from crproxy.transports.servers import TLSServer
from crproxy.transports.tls import TLSStream
from crproxy.upstream.securing import make_context as client_context
from tests.tls.wires import trusting
from tests.transports.hands import Hands, sockets
from tests.transports.peers import Pieces, Recorder, certified, content, joined, server_context

KIB, MIB = 1024, 1024 * 1024
LARGE = content(4 * MIB)
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_both_ways_in_each_version_and_with_each_key(version: ssl.TLSVersion, kind: str) -> None:
    with joined(secured=True, context=server_context(kind), client=trusting("http/1.1", version=version)) as pair:
        pair.send(LARGE)
        pair.hands.settle()
        assert pair.protocol.heard == LARGE
        pair.transport.write(LARGE)
        assert pair.read_all(count=len(LARGE)) == LARGE
        assert ISSLTransport.providedBy(pair.transport)
        assert INegotiated.providedBy(pair.transport)
        assert pair.transport.negotiatedProtocol == b"http/1.1"
        assert pair.transport.getPeerCertificate() is None


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_session_is_resumed(version: ssl.TLSVersion) -> None:
    client = trusting(version=version)
    with joined(secured=True, client=client) as first:
        first.transport.write(b"hello")
        first.read_all(count=5)
        session = first.peer.session
    ours, theirs = sockets()
    hands, protocol = Hands(), Recorder()
    transport: Any = TLSServer(ours, protocol, ours.getpeername(), None, 0, hands)
    protocol.makeConnection(transport)
    theirs.setblocking(False)
    peer = client.wrap_socket(theirs, do_handshake_on_connect=False, session=session)
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.do_handshake()
    hands.settle()
    transport.start_tls(server_context("ecdsa"), unread=transport._peeked)
    for _ in range(10):
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.do_handshake()
            break
        hands.settle()
    assert peer.session_reused
    peer.close()
    hands.settle()
    assert len(protocol.lost) == 1


def test_what_is_written_before_the_handshake_is_over_goes_out_in_it() -> None:
    ours, theirs = sockets()
    hands, protocol = Hands(), Recorder()
    transport: Any = TLSServer(ours, protocol, ours.getpeername(), None, 0, hands)
    theirs.setblocking(False)
    peer = trusting().wrap_socket(theirs, do_handshake_on_connect=False)
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.do_handshake()
    hands.settle()
    secured: list[bool] = []
    transport.start_tls(server_context("ecdsa"), unread=transport._peeked, on_secured=lambda: secured.append(True))
    transport.write(LARGE[: 200 * KIB])
    transport.loseConnection()
    got = bytearray()
    while True:
        hands.settle()
        try:
            piece = peer.recv(64 * KIB)
        except ssl.SSLWantReadError:
            continue
        if not piece:
            break
        got += piece
    assert got == LARGE[: 200 * KIB]
    assert secured == [True]
    peer.close()
    hands.settle()
    assert [reason.type for reason in protocol.lost] == [ConnectionDone]
    assert not hands.readers


def test_a_handshake_that_fails_ends_the_connection() -> None:
    client = trusting("http/1.1")
    client.maximum_version = TLS12
    client.set_ciphers("AES128-SHA")
    ours, theirs = sockets()
    hands, protocol = Hands(), Recorder()
    transport: Any = TLSServer(ours, protocol, ours.getpeername(), None, 0, hands)
    protocol.makeConnection(transport)
    theirs.setblocking(False)
    peer = client.wrap_socket(theirs, do_handshake_on_connect=False)
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.do_handshake()
    hands.settle()
    transport.start_tls(server_context("ecdsa"), unread=transport._peeked)
    hands.settle()
    assert [reason.type for reason in protocol.lost] == [ssl.SSLError]
    assert not hands.readers | hands.writers
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        peer.do_handshake()
    peer.close()


def test_a_peer_that_resets_before_tls_is_lost_and_no_error_of_ours() -> None:
    ours, theirs = sockets()
    hands, protocol = Hands(), Recorder()
    transport: Any = TLSServer(ours, protocol, ours.getpeername(), None, 0, hands)
    protocol.makeConnection(transport)
    theirs.sendall(b"\x16\x03\x01")
    hands.settle()
    assert protocol.heard == b"\x16\x03\x01"
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    transport.loseConnection()
    hands.settle()
    assert len(protocol.lost) == 1
    assert not hands.readers | hands.writers


def test_records_of_one_byte_hold_nobody_up() -> None:
    """64 KiB of them would take a quarter of a second."""
    with joined(secured=True) as pair:
        for byte in LARGE[:1000]:
            pair.peer.send(bytes([byte]))
        pair.hands.turn()
        assert 0 < len(pair.protocol.heard) <= 64
        pair.hands.settle()
        assert pair.protocol.heard == LARGE[:1000]


# The end


def test_close_notify_is_sent_and_the_peers_is_waited_for() -> None:
    with joined(secured=True) as pair:
        pair.transport.write(LARGE)
        pair.transport.loseConnection()
        # SSLZeroReturnError, which recv makes nothing of, and not an end of the connection alone.
        assert pair.read_all() == LARGE
        pair.hands.settle()
        assert pair.protocol.lost == []
        pair.peer.close()
        pair.hands.settle()
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionDone]
        assert pair.hands.getDelayedCalls() == []


def test_a_peer_that_never_says_goodbye_is_not_waited_for_long() -> None:
    with joined(secured=True) as pair:
        pair.transport.loseConnection()
        pair.hands.settle()
        pair.hands.advance(4.9)
        assert pair.protocol.lost == []
        pair.hands.advance(0.2)
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionDone]


def test_nor_at_all_in_a_hurry() -> None:
    with joined(secured=True) as pair:
        pair.transport.write(b"bye")
        pair.transport.loseConnection()
        pair.transport.hurry()
        pair.hands.settle()
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionDone]
        assert pair.read_all() == b"bye"


def test_in_a_hurry_a_goodbye_that_is_waited_for_already_is_not_waited_for() -> None:
    with joined(secured=True) as pair:
        pair.transport.loseConnection()
        pair.hands.settle()
        assert pair.protocol.lost == []
        pair.transport.hurry()
        pair.hands.settle()
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionDone]


def test_what_a_peer_sends_after_the_end_is_read_and_dropped() -> None:
    """Unread, it would have the kernel reset the connection, and the peer might never read what came last."""
    with joined(secured=True) as pair:
        pair.transport.write(LARGE)
        pair.transport.loseConnection()
        pair.send(b"still talking" * 10_000)
        assert pair.read_all() == LARGE
        assert pair.protocol.heard == b""


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_an_end_without_a_goodbye_is_a_loss(version: ssl.TLSVersion) -> None:
    """Anybody between could have cut it."""
    with joined(secured=True, client=trusting(version=version)) as pair:
        pair.send(b"half a")
        pair.peer.close()
        pair.hands.settle()
        assert pair.protocol.heard == b"half a"
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionLost]


def test_a_peer_that_says_goodbye_early_is_done() -> None:
    with joined(secured=True) as pair:
        pair.send(b"all of it")
        with contextlib.suppress(ssl.SSLWantReadError):
            pair.peer.unwrap()
        pair.hands.settle()
        assert pair.protocol.heard == b"all of it"
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionDone]


def test_a_record_that_is_cut_ends_the_connection() -> None:
    with joined(secured=True) as pair:
        os.write(pair.raw.fileno() if pair.raw.fileno() >= 0 else pair.peer.fileno(), b"\x17\x03\x03\x40\x00half")
        pair.peer.close()
        pair.hands.settle()
        assert [reason.type for reason in pair.protocol.lost] == [ConnectionLost]


def test_what_is_no_record_ends_the_connection_with_what_is_wrong() -> None:
    with joined(secured=True) as pair:
        os.write(pair.peer.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
        pair.hands.settle()
        assert [reason.type for reason in pair.protocol.lost] == [ssl.SSLError]


def test_a_peer_that_stops_for_a_minute_gets_the_rest() -> None:
    with joined(secured=True) as pair:
        producer = Pieces(pair.transport, [LARGE[at : at + 64 * KIB] for at in range(0, len(LARGE), 64 * KIB)] * 3)
        producer.begin()
        first = pair.read_all(count=MIB)
        pair.hands.advance(60)
        assert first + pair.read_all(count=3 * len(LARGE) - len(first)) == LARGE * 3


# What OpenSSL's own client may ask for in the midst


def s_client(port: int, version: str, words: bytes) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    process.stdin.write(words)
    process.stdin.flush()
    return process


@pytest.mark.parametrize("command", [b"K\n", b"k\n"])
def test_keys_are_updated_in_the_midst_of_a_transfer(command: bytes) -> None:
    """RFC 8446, 4.6.3: K asks that we change ours as well."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = s_client(listener.getsockname()[1], "-tls1_3", b"")
        ours, _ = listener.accept()
    hands, protocol = Hands(), Recorder()
    transport: Any = TLSServer(ours, protocol, ours.getpeername(), None, 0, hands)
    protocol.makeConnection(transport)
    try:
        wait(hands, lambda: transport._peeked > 100)
        transport.start_tls(server_context("ecdsa"), unread=transport._peeked)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"before\n")
        process.stdin.flush()
        wait(hands, lambda: b"before\n" in protocol.heard)
        process.stdin.write(command)
        process.stdin.flush()
        words = b"0123456789abcde\n" * 4096
        seen = bytearray()
        os.set_blocking(process.stdout.fileno(), False)
        transport.write(words * 4)
        wait(hands, lambda: take(process, seen).count(b"0123456789abcde\n") >= 4096 * 4)
        process.stdin.write(b"after\n")
        process.stdin.flush()
        wait(hands, lambda: b"after\n" in protocol.heard)
        assert b"KEYUPDATE" in seen
        assert protocol.lost == []
    finally:
        process.kill()
        process.communicate()
        hands.settle()
        if not protocol.lost:
            transport.abortConnection()
            hands.settle()


def take(process: subprocess.Popen[bytes], seen: bytearray) -> bytearray:
    assert process.stdout is not None
    with contextlib.suppress(BlockingIOError, TypeError):
        seen += process.stdout.read() or b""
    return seen


def wait(hands: Hands, until: Any) -> None:
    """Take turns until that is so."""
    end = time.monotonic() + 20
    while not until():
        assert time.monotonic() < end
        if not hands.turn():
            poll = select.poll()
            hands.register(poll)
            poll.poll(5)


# Clients


@pytest.mark.parametrize("trusted", [True, False])
def test_a_client_believes_whom_it_is_told_to(trusted: bool, tmp_path: Path) -> None:

    class Connected(TLSStream, tcp.Server):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.begin()

    ours, theirs = sockets()
    hands, protocol = Hands(), Recorder()
    transport: Any = Connected(ours, protocol, ours.getpeername(), None, 0, hands)
    protocol.makeConnection(transport)
    theirs.setblocking(False)
    server = server_context("ecdsa").wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
    shown = certified("ecdsa").leaf.public_bytes(Encoding.PEM).decode()
    transport.start_tls(client_context(shown if trusted else None), server_hostname="cr.test")
    transport.write(b"secret")
    heard, failure = b"", None
    for _ in range(50):
        hands.settle()
        try:
            heard += server.recv(100)
        except ssl.SSLWantReadError:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLError):
                server.do_handshake()
        except ssl.SSLError as error:
            failure = error
            break
        if heard:
            break
    assert heard == (b"secret" if trusted else b""), protocol.lost
    if trusted:
        assert transport.getPeerCertificate().to_cryptography() == certified("ecdsa").leaf
    else:
        assert failure is not None
        assert [reason.type for reason in protocol.lost] == [ssl.SSLCertVerificationError]
    server.close()
    hands.settle()
