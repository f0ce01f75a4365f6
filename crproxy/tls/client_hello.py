"""A TLS client's first words: which name it wants, and which protocols it speaks. Pure; knows nothing of sockets.

RFC 8446, 4.1.2 (ClientHello) and 5.1 (records); RFC 6066, 3 (server_name); RFC 7301, 3.1 (ALPN). TLS 1.2's has the same
shape (RFC 5246, 7.4.1.2). It is only read here: whether it is sound is for OpenSSL to say, which gets the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..policy.addresses import is_address

__all__ = ["HELLO_LIMIT", "Hello", "NotAHello", "read_hello"]

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_ALPN = 16

# Post-quantum key shares make some of two KiB.
HELLO_LIMIT = 16 * 1024
# Most send one. What has come is looked at again with each piece that comes, so there must not be thousands.
_RECORD_LIMIT = 64
# A host name as certificates have it: RFC 6066 wants ASCII, without a trailing dot.
_HOST = re.compile(r"[a-z0-9_*](?:[a-z0-9_.-]{0,252})")


class NotAHello(Exception):
    """These bytes do not begin a TLS handshake."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client said first.

    Arguments:
        server_name: in lower case; None where it names no host.
        protocols: those it offers by ALPN.
    """

    server_name: str | None = None
    protocols: tuple[bytes, ...] = ()


def read_hello(data: bytes) -> Hello | None:
    """Return the ClientHello that ``data`` begins with, or None where more bytes are needed.

    Raises:
        NotAHello: it is something else, or there is no end to it.
    """
    if len(data) > HELLO_LIMIT:
        raise NotAHello
    message = _first_message(data)
    if message is None:
        return None
    try:
        extensions = _extensions(message)
        return Hello(_server_name(extensions.get(_SERVER_NAME)), tuple(_protocols(extensions.get(_ALPN))))
    except IndexError:
        raise NotAHello from None


def _first_message(data: bytes) -> bytes | None:
    """Return the first handshake message, which may be spread over several records; None while it is not all here."""
    message, at = b"", 0
    for _ in range(_RECORD_LIMIT):
        header = data[at : at + 5]
        if header[:1] not in (b"", b"\x16") or header[1:2] not in (b"", b"\x03"):
            raise NotAHello
        if len(header) < 5:
            return None
        length = int.from_bytes(header[3:5], "big")
        message += data[at + 5 : at + 5 + length]
        if message[:1] not in (b"", bytes([_CLIENT_HELLO])):
            raise NotAHello
        if len(message) >= 4 and len(message) >= (whole := 4 + int.from_bytes(message[1:4], "big")):
            return message[4:whole]
        at += 5 + length
        if at > len(data):
            return None
    raise NotAHello


def _extensions(hello: bytes) -> dict[int, bytes]:
    """Return those that are read here, by their type. Raises IndexError where something is cut short."""
    at = 2 + 32  # legacy_version, random
    at += 1 + hello[at]  # legacy_session_id
    at += 2 + _number(hello, at)  # cipher_suites
    at += 1 + hello[at]  # legacy_compression_methods
    found: dict[int, bytes] = {}
    if at > len(hello):
        raise IndexError
    if at == len(hello):
        return found
    extensions = _vector(hello, at)
    at, end = 0, len(extensions)
    while at < end:
        kind, size = _number(extensions, at), _number(extensions, at + 2)
        at += 4 + size
        if at > end:
            raise IndexError
        if kind in (_SERVER_NAME, _ALPN):
            found[kind] = extensions[at - size : at]
    return found


def _number(data: bytes, at: int) -> int:
    """Return the number of two bytes that is at ``at``. Raises IndexError."""
    return data[at] << 8 | data[at + 1]


def _vector(data: bytes, at: int) -> bytes:
    """Return what follows the number of two bytes at ``at``, which is its length. Raises IndexError."""
    start = at + 2
    end = start + _number(data, at)
    if end > len(data):
        raise IndexError
    return data[start:end]


def _server_name(extension: bytes | None) -> str | None:
    if not extension:
        return None
    names, at = _vector(extension, 0), 0
    while at < len(names):
        kind, name = names[at], _vector(names, at + 1)
        at += 3 + len(name)
        if kind == 0:
            host = name.decode("latin-1").lower().removesuffix(".")
            # "Literal IPv4 and IPv6 addresses are not permitted" (RFC 6066, 3): who sends one names nothing.
            if is_address(host):
                return None
            # What is no name is nobody's: it is refused like any that is not known.
            return host if _HOST.fullmatch(host) else ""
    return None


def _protocols(extension: bytes | None) -> Iterator[bytes]:
    if not extension:
        return
    names, at = _vector(extension, 0), 0
    while at < len(names):
        end = at + 1 + names[at]
        if end > len(names):
            raise IndexError
        yield names[at + 1 : end]
        at = end
