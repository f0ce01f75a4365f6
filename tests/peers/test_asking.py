"""Over real sockets: what one worker asks, and another one's site answers."""

from __future__ import annotations

import errno
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import UNIXServerEndpoint

from crproxy.config import Timeouts
from crproxy.flights import Flights
from crproxy.flights.peers import NotThere, PeerIsGone
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.peers import Asking, make_peer_site, socket_of
from crproxy.store.blobs import Blobs, PartialKey
from crproxy.store.entries import Entry
from tests.reactor import on_the_reactor, wait_for
from tests.sources import HandBody, HandSource
from tests.stores import make_dependencies, make_store
from tests.upstream.conftest import Consumer

REACTOR = cast(Any, reactor)
CONTENT = bytes(range(250)) * 4000
KEY = PartialKey(Entry(Digest.of(CONTENT), Registry("quay.io")), Registry("quay.io"))


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="peers-") as made:
        yield Path(made)


@pytest.fixture
def body(directory: Path, tmp_path: Path) -> Iterator[HandBody]:
    """What upstream sends to the worker in slot 3, of which that has the first 5000 bytes in memory."""
    flights = Flights(make_dependencies(make_store(tmp_path, REACTOR), REACTOR))
    source = HandSource(CONTENT, REACTOR)
    with patch.object(Blobs, "begin", side_effect=OSError(errno.EROFS, "Read-only file system")):
        flight = flights.begin(KEY.entry, source, KEY.origin)
    body = source.answer()
    done = flight.reader(None).join(Consumer())
    body.send(CONTENT[:5000])
    endpoint = UNIXServerEndpoint(REACTOR, str(socket_of(directory, 3)))
    port = wait_for(endpoint.listen(make_peer_site(flights, REACTOR)))
    yield body
    done.addErrback(lambda _: None)
    wait_for(port.stopListening())
    wait_for(flights.stop())


def asking(directory: Path) -> Asking:
    return Asking(directory, Timeouts(), reactor)


@on_the_reactor
async def test_a_worker_gives_what_it_has_in_memory(directory: Path, body: HandBody) -> None:
    consumer, streamed = Consumer(), await asking(directory).open(3, KEY, 1000)
    assert (streamed.status, streamed.body.length) == (206, len(CONTENT) - 1000)
    assert streamed.headers["content-range"] == f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"
    joined = streamed.body.join(consumer)
    body.send(CONTENT[5000:])
    body.end()
    await joined
    assert consumer.content == CONTENT[1000:]


@on_the_reactor
async def test_what_it_does_not_have_it_says(directory: Path, body: HandBody) -> None:
    asks = asking(directory)
    with pytest.raises(NotThere, match="416"):
        await asks.open(3, KEY, len(CONTENT))
    with pytest.raises(PeerIsGone, match=r"has sha256:.* no more"):
        await asks.open(3, PartialKey(KEY.entry), 0)


@on_the_reactor
async def test_nobody_answers_for_who_is_gone(directory: Path) -> None:
    with pytest.raises(PeerIsGone, match="worker 1"):
        await asking(directory).open(1, KEY, 0)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_of(directory, 1)))
    with pytest.raises(PeerIsGone, match="worker 1"):
        await asking(directory).open(1, KEY, 0)
