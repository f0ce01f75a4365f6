from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.tls.client_hello import HELLO_LIMIT, Hello, NotAHello, read_hello
from tests.outcomes import outcome


def hello_of(
    name: str | None = "cr.test", protocols: tuple[str, ...] = (), version: ssl.TLSVersion | None = None
) -> bytes:
    """What OpenSSL's own client says first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if version is not None:
        context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


WHOLE = hello_of("k8s-gcr.cr.test", ("acme-tls/1", "http/1.1"))
READ = Hello("k8s-gcr.cr.test", (b"acme-tls/1", b"http/1.1"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_openssl_says(version: ssl.TLSVersion) -> None:
    assert read_hello(hello_of("cr.test", ("h2", "http/1.1"), version)) == Hello("cr.test", (b"h2", b"http/1.1"))


def test_who_names_nobody() -> None:
    assert read_hello(hello_of(None)) == Hello()
    assert read_hello(hello_of("192.0.2.1")) == Hello()
    assert read_hello(with_name(b"192.0.2.1")) == Hello()
    assert read_hello(with_name(b"2001:db8::1")) == Hello()


@pytest.mark.parametrize(("said", "meant"), [("CR.Test", "cr.test"), ("cr.test.", "cr.test")])
def test_a_name_has_one_spelling(said: str, meant: str) -> None:
    assert read_hello(with_name(said.encode())) == Hello(meant)


def with_name(name: bytes) -> bytes:
    """A ClientHello for any name, made by hand."""
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    names = len(entry).to_bytes(2, "big") + entry
    extension = b"\0\0" + len(names).to_bytes(2, "big") + names
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + len(extension).to_bytes(2, "big") + extension
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize("name", [b"", b"a b", b"\xff", b"a\0b", b"../x", b"-x", b"x" * 300])
def test_what_is_no_name_is_nobodys(name: bytes) -> None:
    assert read_hello(with_name(name)) == Hello("")


def test_it_is_waited_for_byte_by_byte() -> None:
    assert all(read_hello(WHOLE[:count]) is None for count in range(len(WHOLE)))
    assert read_hello(WHOLE) == READ
    assert read_hello(WHOLE + b"more") == READ


# With post-quantum key shares it has about two KiB, and records are counted.
@given(st.lists(st.integers(64, 400), min_size=1))
def test_it_may_be_spread_over_many_records(sizes: list[int]) -> None:
    message, records = WHOLE[5:], b""
    while message:
        size = sizes[len(records) % len(sizes)]
        piece, message = message[:size], message[size:]
        records += b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
    assert read_hello(records) == READ


@pytest.mark.security("S20")
def test_it_may_not_be_spread_over_hundreds() -> None:
    """One-byte records, looked at again with each that comes, would keep a core busy."""
    records = b"".join(b"\x16\x03\x01\x00\x01" + bytes([byte]) for byte in WHOLE[5:])
    assert read_hello(records[: 6 * 63]) is None
    with pytest.raises(NotAHello):
        read_hello(records[: 6 * 64])


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x80\x2e\x01\x00\x02",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x02\x00\x00\x01\x01",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
        b"\0",
        WHOLE[:6] + b"\xff" * HELLO_LIMIT,
    ],
)
def test_anything_else_is_told_apart(data: bytes) -> None:
    with pytest.raises(NotAHello):
        read_hello(data)


def test_an_old_one_without_extensions_names_nobody() -> None:
    body = b"\x03\x01" + bytes(32) + b"\0" + b"\0\2\0\x2f" + b"\1\0"
    message = b"\1" + len(body).to_bytes(3, "big") + body
    assert read_hello(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message) == Hello()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_or_waited_for(data: bytes) -> None:
    for received in (data, b"\x16\x03\x01" + data, WHOLE[:60] + data):
        found = outcome(NotAHello, read_hello, received)
        assert found is None or isinstance(found, Hello | NotAHello)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_one_wrong_byte_does_no_harm(at: int, byte: int) -> None:
    found = outcome(NotAHello, read_hello, WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])
    assert found is None or isinstance(found, Hello | NotAHello)


def test_a_hello_whose_compression_methods_are_cut_is_none() -> None:
    body = bytes([3, 3]) + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\x80"
    message = b"\1" + len(body).to_bytes(3, "big") + body
    with pytest.raises(NotAHello):
        read_hello(b"\x16\3\1" + len(message).to_bytes(2, "big") + message)
