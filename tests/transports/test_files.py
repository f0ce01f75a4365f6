"""By what means a piece of a file, or of memory, is on its way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from crproxy.transports.files import send_file, send_view

CONTENT = bytes(range(256)) * 1024
PIECE = 64 * 1024


class Able:
    """Has means of its own."""

    def __init__(self) -> None:
        self.sent: list[tuple[object, ...]] = []
        self.written: list[bytes] = []

    def send_file(self, fd: int, offset: int, count: int) -> int:
        self.sent.append((fd, offset, count))
        return count

    def send_view(self, view: memoryview) -> int:
        self.sent.append((bytes(view),))
        return len(view)

    def write(self, data: bytes | memoryview) -> None:
        self.written.append(bytes(data))


class Enciphering(ProtocolWrapper):
    """Changes what is written, as TLS does, and hands on whatever else it is asked for, as Twisted's wrappers do."""

    def write(self, data: bytes | memoryview) -> None:
        self.transport.write(bytes(data)[::-1])  # type: ignore[union-attr]


@pytest.fixture
def fd(tmp_path: Path) -> Any:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        yield file.fileno()


def around(able: Able) -> Enciphering:
    wrapper = Enciphering(WrappingFactory(Factory.forProtocol(Protocol)), Protocol())
    wrapper.transport = able  # type: ignore[assignment]
    assert wrapper.send_file, "it hands that on"
    return wrapper


def test_a_connection_sends_by_its_own_means(fd: int) -> None:
    able = Able()
    assert send_file(able, fd, 5, 100_000) == 100_000
    assert send_view(able, memoryview(b"view")) == 4
    assert able.sent == [(fd, 5, 100_000), (b"view",)]
    assert able.written == []


@pytest.mark.parametrize("sending", ["file", "view"])
def test_what_is_around_it_is_not_gone_past(fd: int, sending: str) -> None:
    """Or what belongs into TLS would be in the clear."""
    able = Able()
    send: Callable[[Any], int] = {
        "file": lambda wrapper: send_file(wrapper, fd, 0, len(CONTENT)),
        "view": lambda wrapper: send_view(wrapper, memoryview(CONTENT)),
    }[sending]
    assert send(around(able)) == PIECE
    assert able.sent == []
    assert able.written == [CONTENT[:PIECE][::-1]]


def test_a_file_that_ends_says_so(fd: int) -> None:
    class Plain:
        def write(self, data: bytes) -> None:
            pytest.fail("there is nothing to be sent")

    with pytest.raises(EOFError, match=f"byte {len(CONTENT)}"):
        send_file(Plain(), fd, len(CONTENT), 1)
