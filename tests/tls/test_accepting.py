"""A real TLS client, OpenSSL's, against the factory: their bytes and their time are in the test's hands."""

from __future__ import annotations

import gc
import hashlib
import ssl
import weakref
from collections.abc import Iterator

import pytest
from twisted.internet.error import ConnectionLost

from crproxy.tls.accepting import Contexts, TLSFactory
from crproxy.tls.certificates import Certified, self_signed
from crproxy.tls.client_hello import Hello
from tests.logs import Log
from tests.parts.request_ids import without_id
from tests.tls.wires import ALIAS, DOMAIN, NOW, VALIDATION, Client, Server, Wire, der, in_records, trusting

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
# Each in a record of its own, and fatal: RFC 6066, 3 and RFC 7301, 3.2.
UNRECOGNIZED_NAME = bytes.fromhex("15 03 03 00 02 02 70")
NO_APPLICATION_PROTOCOL = bytes.fromhex("15 03 03 00 02 02 78")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


# What is shown


@pytest.mark.parametrize(
    ("name", "certified"), [("cr.test", DOMAIN), ("quay.cr.test", ALIAS), ("QUAY.cr.test", ALIAS), (None, DOMAIN)]
)
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_the_certificate_is_the_names(
    server: Server, version: ssl.TLSVersion, name: str | None, certified: Certified
) -> None:
    client = Client(server, name, context=trusting(version=version))
    client.connect()
    assert client.shown == der(certified)
    assert client.version == {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
    assert client.say(b"hello") == b"hello"
    assert [echo.heard for echo in server.inside.made] == [b"hello"]


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_name_that_nobody_has_gets_its_alert_and_nothing_else(server: Server, version: ssl.TLSVersion) -> None:
    client = Client(server, "nope.cr.test", context=trusting(version=version))
    client.wire.send(client.hello())
    assert client.wire.receive() == UNRECOGNIZED_NAME
    assert client.wire.transport.disconnecting
    assert server.inside.made == []
    assert server.clock.getDelayedCalls() == []


def test_a_client_takes_the_alert_for_what_it_is(server: Server) -> None:
    with pytest.raises(ssl.SSLError, match="TLSV1_UNRECOGNIZED_NAME"):
        Client(server, "nope.cr.test").connect()


def test_the_first_words_may_come_byte_by_byte(server: Server) -> None:
    client = Client(server, "quay.cr.test")
    hello = client.hello()
    # Of more than a dozen segments the kernel waits for an acknowledgement.
    *first, last = (*(hello[at : at + 1] for at in range(12)), hello[12:-1], hello[-1:])
    for piece in first:
        client.wire.send(piece)
        assert client.wire.receive() == b""
    assert server.asked == []
    client.connect_with(last)
    assert client.say(b"hello") == b"hello"
    assert client.shown == der(ALIAS)


@pytest.mark.parametrize("size", [64, 100])
def test_the_first_words_may_be_spread_over_records(server: Server, size: int) -> None:
    """Which OpenSSL has to put together again for itself."""
    client = Client(server, "quay.cr.test", context=trusting(version=TLS13))
    records = in_records(client.hello(), size)
    *first, last = (records[at : at + 50] for at in range(0, len(records), 50))
    for piece in first:
        client.wire.send(piece)
    client.connect_with(last)
    assert client.shown == der(ALIAS)
    assert client.say(b"hello") == b"hello"


def test_a_client_whose_groups_are_none_of_ours_is_asked_again(server: Server) -> None:
    """HelloRetryRequest, a ServerHello with a random of its own (RFC 8446, 4.1.3), and the connection waits."""
    client = Client(server, "quay.cr.test", context=trusting(version=TLS13))
    client.wire.send(with_unknown_groups(client.hello()))
    assert client.wire.receive()[11:43] == hashlib.sha256(b"HelloRetryRequest").digest()
    assert not client.wire.transport.disconnecting
    assert len(server.inside.made) == 1


def with_unknown_groups(hello: bytes) -> bytes:
    """A hello whose keys are for a group that nobody has (RFC 8446, 4.2.8; RFC 8701)."""
    changed, at = bytearray(hello), 43
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at] + 2
    while at < len(hello):
        kind, size = int.from_bytes(hello[at : at + 2], "big"), int.from_bytes(hello[at + 2 : at + 4], "big")
        share, end = at + 6, at + 4 + size
        if kind == 10:
            # The first that it supports, which its key is for.
            changed[share : share + 2] = b"\x7a\x7a"
        while kind == 51 and share < end:
            changed[share : share + 2] = b"\x7a\x7a"
            share += 4 + int.from_bytes(hello[share + 2 : share + 4], "big")
        at = end
    assert changed != hello
    return bytes(changed)


# Protocols


@pytest.mark.parametrize(
    ("offered", "taken"),
    [((), None), (("http/1.1",), "http/1.1"), (("h2", "http/1.1"), "http/1.1"), (("http/1.1", "h2"), "http/1.1")],
)
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_http_1_1_is_what_is_spoken(
    server: Server, version: ssl.TLSVersion, offered: tuple[str, ...], taken: str | None
) -> None:
    client = Client(server, context=trusting(*offered, version=version))
    client.connect()
    assert client.protocol == taken
    assert client.say(b"hello") == b"hello"


@pytest.mark.parametrize("offered", [("h2",), ("http/1.0",), ("acme-tls/2",)])
def test_who_speaks_nothing_of_ours_is_refused(server: Server, offered: tuple[str, ...]) -> None:
    client = Client(server, context=trusting(*offered))
    client.wire.send(client.hello())
    assert client.wire.receive() == NO_APPLICATION_PROTOCOL
    assert client.wire.transport.disconnecting
    assert server.inside.made == []
    assert server.clock.getDelayedCalls() == []


def test_a_client_takes_that_alert_for_what_it_is_too(server: Server) -> None:
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        Client(server, context=trusting("h2")).connect()


def test_a_validation_is_shown_its_own_certificate(server: Server) -> None:
    """RFC 8737, 3: the client offers acme-tls/1 alone, and the server must have negotiated it."""
    client = Client(server, "cr.test", context=trusting("acme-tls/1"))
    client.connect()
    assert client.shown == der(VALIDATION)
    assert client.protocol == "acme-tls/1"
    assert server.asked == [Hello("cr.test", (b"acme-tls/1",))]


def test_a_validation_changes_nothing_for_others(server: Server) -> None:
    Client(server, "cr.test", context=trusting("acme-tls/1")).connect()
    client = Client(server, "cr.test", context=trusting("http/1.1"))
    client.connect()
    assert (client.shown, client.protocol) == (der(DOMAIN), "http/1.1")


# What is no TLS


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"])
def test_plain_http_is_told_so(server: Server, method: str) -> None:
    wire = Wire(server)
    with Log() as log:
        wire.send(f"{method} /v2/ HTTP/1.1\r\nHost: cr.test\r\n\r\n".encode())
    head, _, body = wire.receive().partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert without_id(lines[0], fields["X-Request-Id"]) == "HTTP/1.1 400 Bad Request"
    without_id(body.decode(), fields["X-Request-Id"])
    assert [event["request_id"] for event in log.events if "request_id" in event] == [fields["X-Request-Id"]]
    assert "Connection: close" in lines
    assert f"Content-Length: {len(body)}" in lines
    assert b"HTTPS" in body
    assert wire.transport.disconnecting
    assert server.inside.made == []
    assert server.clock.getDelayedCalls() == []


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n", b"\0", b"\x16\x03\x01\0\4\2\0\0\0", b"\x80\x2e\1\0\2"])
def test_anything_else_is_hung_up_on(server: Server, data: bytes) -> None:
    wire = Wire(server)
    wire.send(data)
    assert wire.receive() == b""
    assert wire.transport.disconnecting
    assert server.clock.getDelayedCalls() == []


# Time


@pytest.mark.security("S20")
def test_silence_ends_after_ten_seconds(server: Server) -> None:
    wire = Wire(server)
    ended = []
    for seconds in (9.9, 0.2):
        server.clock.advance(seconds)
        ended.append(wire.transport.disconnected)
    assert ended == [False, True]
    wire.end(ConnectionLost)
    assert server.clock.getDelayedCalls() == []


@pytest.mark.security("S20")
def test_a_hello_that_comes_too_slowly_is_silence(server: Server) -> None:
    client = Client(server)
    for byte in client.hello()[:16]:
        client.wire.send(bytes([byte]))
        server.clock.advance(0.6)
    assert not client.wire.transport.disconnected
    server.clock.advance(0.6)
    assert client.wire.transport.disconnected


def test_who_has_said_hello_has_time(server: Server) -> None:
    client = Client(server)
    client.connect()
    server.clock.advance(3600)
    assert client.say(b"still here") == b"still here"


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"])
def test_who_leaves_early_leaves_nothing_behind(server: Server, said: bytes) -> None:
    wire = Wire(server)
    wire.send(said)
    wire.end()
    assert server.clock.getDelayedCalls() == []
    assert server.inside.made == []


def test_what_is_inside_learns_of_the_end(server: Server) -> None:
    client = Client(server)
    client.connect()
    client.wire.end(ConnectionLost)
    (echo,) = server.inside.made
    assert echo.lost is not None
    assert server.clock.getDelayedCalls() == []


# Certificates that are replaced


def test_a_new_certificate_touches_no_connection(server: Server) -> None:
    old, new = self_signed("cr.test", NOW), self_signed("cr.test", NOW)
    server.shown["cr.test"] = old
    before, after = Client(server), Client(server)
    before.connect()
    server.shown["cr.test"] = new
    after.connect()
    assert (before.shown, after.shown) == (der(old), der(new))
    assert before.say(b"one") == b"one"
    assert after.say(b"two") == b"two"


def test_what_is_shown_no_more_is_forgotten(server: Server) -> None:
    """Otherwise each renewal would leave a context behind."""
    server.shown["cr.test"] = self_signed("cr.test", NOW)
    client = Client(server)
    client.connect()
    kept = weakref.ref(server.factory.chosen(Hello("cr.test")))
    server.shown["cr.test"] = DOMAIN
    assert client.say(b"one") == b"one"
    client.wire.end()
    del client
    server.inside.made.clear()
    gc.collect()
    assert kept() is None


def test_one_context_serves_all_connections_of_a_name(server: Server) -> None:
    assert server.factory.chosen(Hello("cr.test")) is server.factory.chosen(Hello(None))
    assert server.factory.chosen(Hello("cr.test")) is not server.factory.chosen(Hello("quay.cr.test"))


# Sessions


def ticket(server: Server, context: ssl.SSLContext, name: str = "cr.test") -> ssl.SSLSession:
    client = Client(server, name, context=context)
    client.connect()
    assert client.resumed is False
    # TLS 1.3's tickets come after the handshake, with the first answer.
    client.say(b"hello")
    assert client.session is not None
    assert client.session.has_ticket
    return client.session


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_session_is_resumed_by_its_ticket(server: Server, version: ssl.TLSVersion) -> None:
    context = trusting("http/1.1", version=version)
    again = Client(server, context=context, session=ticket(server, context))
    again.connect()
    assert again.say(b"hello") == b"hello"
    assert again.resumed is True
    assert again.protocol == "http/1.1"


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_session_of_another_name_is_begun_anew(server: Server, version: ssl.TLSVersion) -> None:
    """Each name has its own keys for tickets; what matters is that the client is shown the right certificate."""
    context = trusting(version=version)
    other = Client(server, "quay.cr.test", context=context, session=ticket(server, context))
    other.connect()
    assert other.say(b"hello") == b"hello"
    assert (other.resumed, other.shown) == (False, der(ALIAS))


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_session_does_not_outlive_its_certificate(server: Server, version: ssl.TLSVersion) -> None:
    context = trusting(version=version)
    session = ticket(server, context)
    new = server.shown["cr.test"] = self_signed("cr.test", NOW)
    again = Client(server, context=context, session=session)
    again.connect()
    assert again.say(b"hello") == b"hello"
    assert (again.resumed, again.shown) == (False, der(new))


def test_contexts_may_be_had_in_common_by_several(server: Server) -> None:
    contexts = Contexts()
    factories = [TLSFactory(server.inside, lambda _: DOMAIN, server.clock, contexts) for _ in range(2)]
    one, other = (factory.chosen(Hello("cr.test")) for factory in factories)
    assert one is other
    assert server.factory.chosen(Hello("cr.test")) is not one


def test_there_is_one_for_each_protocol_and_each_is_kept() -> None:
    """Or what the first client speaks would be what the next one has to."""
    contexts = Contexts()
    made = [contexts.showing(DOMAIN, protocol) for protocol in (b"acme-tls/1", b"http/1.1", b"acme-tls/1")]
    assert made[0] is made[2] is not made[1]


def test_and_is_forgotten_with_what_it_shows() -> None:
    contexts, certified = Contexts(), self_signed("cr.test", NOW)
    context = weakref.ref(contexts.showing(certified, b"http/1.1"))
    gc.collect()
    assert context() is not None
    del certified
    gc.collect()
    assert context() is None


# What is told of handshakes that come to nothing


@pytest.fixture
def told(server: Server) -> list[str]:
    found: list[str] = []
    server.factory = TLSFactory(server.inside, server._choose, server.clock, on_refused=found.append)
    return found


def test_it_is_told_which_name_is_asked_for(server: Server, told: list[str]) -> None:
    client = Client(server, "nope.cr.test")
    client.wire.send(client.hello())
    assert told == ["another name is asked for in TLS: nope.cr.test"]


def test_it_is_told_that_no_protocol_of_ours_is_offered(server: Server, told: list[str]) -> None:
    client = Client(server, context=trusting("h2"))
    client.wire.send(client.hello())
    assert told == ["HTTP/1.1 is not offered in TLS"]


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n", b"SSH-2.0-x\r\n", b"\x16\x02\x00\x00\x01\x00"])
def test_it_is_told_that_this_is_no_tls(server: Server, told: list[str], words: bytes) -> None:
    Wire(server).send(words)
    assert told == ["this is something else than TLS"]


@pytest.mark.parametrize("size", [0, 1, 100, None])
def test_it_is_told_that_a_handshake_takes_too_long(server: Server, told: list[str], size: int | None) -> None:
    client = Client(server)
    client.wire.send(client.hello()[:size])
    server.clock.advance(9.9)
    assert told == []
    server.clock.advance(0.2)
    assert told == ["no TLS handshake within 10 s"]


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_it_is_told_what_a_client_has_against_it(server: Server, told: list[str], version: ssl.TLSVersion) -> None:
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.minimum_version = nobody.maximum_version = version
    client = Client(server, context=nobody)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.connect()
    client._flush()
    server.clock.settle()
    assert told == ["the TLS handshake failed: TLSV1_ALERT_UNKNOWN_CA"]


def test_nothing_is_told_of_one_that_was_done_nor_of_a_client_that_leaves(server: Server, told: list[str]) -> None:
    client = Client(server)
    client.connect()
    assert client.say(b"hello") == b"hello"
    client.wire.end()
    Wire(server).end()
    Wire(server).end(ConnectionLost)
    half = Client(server)
    half.wire.send(half.hello()[:50])
    half.wire.end()
    server.clock.advance(20)
    assert told == []
