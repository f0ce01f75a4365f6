"""A node on the real reactor, over real sockets and real TLS, and what asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater

from crproxy.fleet.about import About
from crproxy.fleet.asking_nodes import AskingNodes
from crproxy.fleet.having import Having
from crproxy.fleet.node_service import NodeService
from crproxy.fleet.node_site import make_node_site
from crproxy.flights import Flights
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from tests.fleet.test_identity import OURS
from tests.reactor import wait_for
from tests.sources import HandSource
from tests.stores import make_dependencies, make_store
from tests.upstream.conftest import Consumer

REACTOR = cast(Any, reactor)
CONTENT = bytes(range(250)) * 4000
SIZE = len(CONTENT)
KEPT = b"kept"
KEY = PartialKey(Entry(Digest.of(CONTENT), Registry("quay.io")), Registry("quay.io"))
OF_KEPT = PartialKey(Entry(Digest.of(KEPT)))
ABOUT = About("node-1", "1.2.3", 4, 5)


class Node:
    """A node that has one blob, and is filling another."""

    def __init__(self, directory: Path) -> None:
        self.store = make_store(directory, REACTOR)
        self.flights = Flights(make_dependencies(self.store, REACTOR))
        site = make_node_site(Having(self.store, self.flights), lambda: ABOUT, REACTOR)
        self.service = NodeService([TCP4ServerEndpoint(REACTOR, 0, interface="127.0.0.1")], OURS, site, 5, REACTOR)
        self.service.privilegedStartService()
        self.service.startService()
        self.source = HandSource(CONTENT, REACTOR)
        wait_for(self.store.keep(OF_KEPT.entry, KEPT))

    @property
    def url(self) -> str:
        return url_of(self.service.ports[0])

    def fill(self, end: int) -> Any:
        """Begin to, up to a byte; return the body that brings the rest."""
        self.flights.begin(KEY.entry, self.source, KEY.origin)
        body = self.source.answer()
        body.send(CONTENT[:end])
        return body


def url_of(port: IListeningPort) -> str:
    return f"https://127.0.0.1:{cast(Any, port.getHost()).port}"


async def turns() -> None:
    """Let what was sent arrive."""
    for _ in range(5):
        await deferLater(REACTOR, 0.01)


async def read(asks: AskingNodes, url: str, key: PartialKey, start: int = 0) -> bytes:
    consumer = Consumer()
    await (await asks.open(url, key, start)).body.join(consumer)
    return consumer.content
