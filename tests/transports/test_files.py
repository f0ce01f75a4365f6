from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOProtocol

from crproxy.transports.files import read_piece, send_file, send_view

CONTENT = bytes(range(256)) * 1024


class Own:
    """A consumer with ways of its own."""

    def __init__(self) -> None:
        self.sent: list[tuple[object, ...]] = []

    def send_file(self, fd: int, offset: int, count: int) -> int:
        self.sent.append(("file", offset, count))
        return count

    def send_view(self, view: memoryview) -> int:
        self.sent.append(("view", bytes(view)))
        return len(view)


class Written:
    """A consumer without."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes | memoryview) -> None:
        self.written += data


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(CONTENT)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_consumers_own_way_is_taken(file: int) -> None:
    own = Own()
    assert send_file(own, file, 3, 5) == 5
    assert send_view(own, memoryview(b"view")) == 4
    assert own.sent == [("file", 3, 5), ("view", b"view")]


def test_without_one_it_is_written_in_pieces(file: int) -> None:
    consumer = Written()
    sent = send_file(consumer, file, 10, len(CONTENT))
    assert consumer.written == CONTENT[10 : 10 + sent] == read_piece(file, 10, len(CONTENT))
    assert send_view(consumer, memoryview(CONTENT)) == sent


def wrapper(around: Any, kind: type[ProtocolWrapper]) -> Any:
    """Return one of Twisted's wrappers, as it is once it is connected to ``around``."""
    wrapped = kind(WrappingFactory(Factory.forProtocol(Protocol)), Protocol())
    wrapped.transport = around
    return wrapped


def test_what_hands_on_what_it_does_not_know_has_what_it_is_around(file: int) -> None:
    """Such as what reads PROXY headers."""
    own = Own()
    assert send_file(wrapper(own, ProtocolWrapper), file, 0, 5) == 5
    assert own.sent == [("file", 0, 5)]


@pytest.mark.parametrize("depth", [0, 1])
def test_nothing_passes_by_tls(file: int, depth: int) -> None:
    own = Own()
    inner = tls = wrapper(own, TLSMemoryBIOProtocol)
    written = Written()
    tls.write = written.write
    for _ in range(depth):
        inner = wrapper(inner, ProtocolWrapper)
        inner.write = written.write
    assert send_file(inner, file, 0, 5) == 5
    assert send_view(inner, memoryview(b"view")) == 4
    assert (own.sent, written.written) == ([], CONTENT[:5] + b"view")
