"""One network in memory, and what asks it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from treq.client import HTTPClient
from twisted.internet.interfaces import IConsumer
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from crproxy.config import Timeouts, Upstream
from crproxy.oci.names import Registry
from crproxy.upstream.agent import treq_client
from crproxy.upstream.exchange import Exchange
from crproxy.upstream.tokens import Tokens
from tests.memory import Network

QUAY = Registry("quay.io")
TIMEOUTS = Timeouts(connect=10, headers=30, idle=60)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def reactor() -> MemoryReactorClock:
    return MemoryReactorClock()


@pytest.fixture
def http(network: Network) -> HTTPClient:
    return treq_client(network.agent())


@pytest.fixture
def tokens(network: Network) -> Tokens:
    return Tokens(TIMEOUTS, network.clock)


@pytest.fixture
def exchange(network: Network, http: HTTPClient, tokens: Tokens) -> Exchange:
    return Exchange(lambda _: http, tokens, TIMEOUTS, network.clock)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream.public(QUAY)


@implementer(IConsumer)
@dataclass
class Consumer:
    """Takes what it is given, and remembers who gives."""

    producer: Any = None
    streaming: bool | None = None
    pieces: list[bytes] = field(default_factory=list)
    registered: int = 0
    unregistered: int = 0

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        self.producer, self.streaming = producer, streaming
        self.registered += 1

    def unregisterProducer(self) -> None:
        self.producer = None
        self.unregistered += 1

    def write(self, data: bytes | memoryview) -> None:
        self.pieces.append(bytes(data))

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()
