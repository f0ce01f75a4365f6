"""The parts of a daemon that nodes of a fleet meet by, in a process of their own: one that gives, or one that asks.

    python -m tests.parts.fleet_node serve '{"data_dir": ..., "secret": ..., ...}'
    python -m tests.parts.fleet_node ask '{"url": ..., "digest": ..., ...}'

What it gives is kept on its disk, or on its way from a feed: a Unix socket whose other end is a test's. Several workers
of a node are several of these, with one data directory and one ledger.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from crproxy import __version__
from crproxy.config import Config
from crproxy.fleet.about import About
from crproxy.fleet.asking_nodes import AskingNodes, NodeIsGone, NotThere
from crproxy.fleet.having import Having
from crproxy.fleet.identity import Secret
from crproxy.fleet.node_service import NodeService
from crproxy.fleet.node_site import make_node_site
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.policy.routing import Names
from crproxy.service.caching import CacheService
from crproxy.sharing import Alone, Sharing
from crproxy.store.blobs import PartialKey
from crproxy.store.entries import Entry
from crproxy.upstream.client import Streamed
from crproxy.upstream.relay import BodyBroke
from crproxy.workers.ledger import Ledger
from crproxy.workers.together import Together

REACTOR = cast(Any, reactor)
ORIGIN = Registry("quay.io")


def key_of(digest: str) -> PartialKey:
    return PartialKey(Entry(Digest.parse(digest)), ORIGIN)


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


class Feed:
    """Upstream (Source): what comes over a Unix socket, of which all is asked for once."""

    parallel = None

    def __init__(self, path: str, size: int) -> None:
        self._path = path
        self._size = size

    async def open(self, start: int, stop: int | None) -> Streamed:
        say(asked=start)
        return Streamed(200, {}, _Fed(self._path, self._size))

    async def size(self) -> int | None:
        say(sized=True)
        return self._size

    def blame(self) -> None:
        """Nobody gave it."""


class _Fed:
    def __init__(self, path: str, size: int) -> None:
        self._path = path
        self.length = size

    def join(self, consumer: IConsumer) -> Deferred[None]:
        eaten = _Eaten(consumer)
        connectProtocol(UNIXClientEndpoint(REACTOR, self._path), eaten)
        return eaten.done

    def abandon(self) -> None:
        """Nothing is open."""


class _Eaten(Protocol):
    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self.done: Deferred[None] = Deferred(lambda _: cast(Any, self.transport).abortConnection())

    def connectionMade(self) -> None:
        self._consumer.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self._consumer.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._consumer.unregisterProducer()
        if self.done.called:
            return
        if reason.check(ConnectionDone):
            self.done.callback(None)
        else:
            self.done.errback(BodyBroke("cut"))


class _NoChannel:
    """Leads nowhere: there is no first process."""

    def on(self, topic: str, answer: Any) -> None:
        """Nobody asks."""

    def tell(self, kind: str, payload: Any) -> None:
        """Nobody hears it."""


def serve(data_dir: str, secret: str, ledger: str | None, slot: int, fills: str | None, feed: str, size: int) -> None:
    """Listen; say where, and begin to fill what is to be filled."""
    sharing: Sharing = Alone()
    if ledger is not None:
        channel = cast(Any, _NoChannel())
        sharing = Together(Ledger(Path(ledger), slot, 2), channel, slot, b"", REACTOR)
    config = Config(Names("cr.test", {}), data_dir=data_dir)
    cache = CacheService(config, REACTOR, now=time.time, sharing=sharing)
    cache.startService()

    def about() -> About:
        return About("node", __version__, cache.flights.number, cache.store.index.bytes_stored())

    site = make_node_site(Having(cache.store, cache.flights), about, REACTOR)
    identity = Secret(bytes.fromhex(secret)).identity(time.time())
    service = NodeService([TCP4ServerEndpoint(REACTOR, 0, interface="127.0.0.1")], identity, site, 5, REACTOR)
    service.privilegedStartService()
    service.startService()
    REACTOR.addSystemEventTrigger(
        "before", "shutdown", lambda: service.stopService().addCallback(lambda _: cache.stopService())
    )
    if fills is not None:
        key = key_of(fills)
        flight = cache.flights.begin(key.entry, Feed(feed, size), key.origin, whose="anybody")
        Deferred.fromCoroutine(flight.finished()).addCallbacks(
            lambda _: say(filled=fills), lambda failure: say(failed=failure.type.__name__)
        )
    say(port=cast(Any, service.ports[0].getHost()).port)


@implementer(IConsumer)
class Sink:
    """Hashes what comes; stops taking it at a byte, until it is sent SIGUSR1."""

    def __init__(self, pause_at: int | None) -> None:
        self.number = 0
        self.digest = hashlib.sha256()
        self._pause_at = pause_at
        self._producer: Any = None
        signal.signal(signal.SIGUSR1, lambda *_: REACTOR.callFromThread(self._go_on))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def write(self, data: bytes) -> None:
        before, self.number = self.number, self.number + len(data)
        self.digest.update(data)
        if before == 0:
            say(begun=True)
        if self._pause_at is not None and self.number >= self._pause_at:
            self._pause_at = None
            self._producer.pauseProducing()
            say(paused=self.number)

    def _go_on(self) -> None:
        self._producer.resumeProducing()


def ask(url: str, secret: str, digest: str, start: int, pause_at: int | None, times: int) -> None:
    """Ask for a blob; say what came of it."""
    asking = AskingNodes(Secret(bytes.fromhex(secret)).identity(time.time()).client, 30, 10, REACTOR)

    async def asked() -> None:
        for _ in range(times):
            await _once(asking, url, digest, start, Sink(pause_at))

    Deferred.fromCoroutine(asked()).addErrback(lambda failure: failure.printTraceback(sys.stdout)).addBoth(
        lambda _: REACTOR.stop()
    )


async def _once(asking: AskingNodes, url: str, digest: str, start: int, sink: Sink) -> None:
    content_range, end = "", "whole"
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        streamed = await asking.open(url, key_of(digest), start)
        content_range = streamed.headers["content-range"]
        await streamed.body.join(cast(Any, sink))
    except (NodeIsGone, NotThere, BodyBroke) as error:
        end = f"{type(error).__name__}: {error}"
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    got = f"sha256:{sink.digest.hexdigest()}"
    say(end=end, number=sink.number, digest=got, content_range=content_range, peak=used.ru_maxrss * 1024, cpu=cpu)


if __name__ == "__main__":
    role: Any = {"serve": serve, "ask": ask}[sys.argv[1]]
    role(**json.loads(sys.argv[2]))
    REACTOR.run()
