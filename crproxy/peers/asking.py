"""Questions to other workers, on their sockets."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from ..config import Timeouts
from ..flights.peers import NotThere, PeerIsGone
from ..store.blobs import PartialKey
from ..upstream.agent import send, treq_client
from ..upstream.client import Streamed
from ..upstream.errors import TRANSPORT_ERRORS, describe
from ..upstream.fields import field_of
from ..upstream.protocol import make_pool
from ..upstream.relay import Relay, abandon
from .addresses import path_of

if TYPE_CHECKING:
    from treq.client import HTTPClient

__all__ = ["Asking", "WorkerWithBlob", "socket_of"]

# Beyond what the one that is asked may wait for upstream itself.
_MORE_SECONDS = 5.0


def socket_of(directory: Path, slot: int) -> Path:
    """Return where a worker listens for the others."""
    return directory / f"worker-{slot}.sock"


class Asking:
    """Asks other workers.

    Arguments:
        directory: where their sockets are.
        timeouts: of upstreams: what another worker waits for, we wait for as well.
        reactor: connects.
    """

    def __init__(self, directory: Path, timeouts: Timeouts, reactor: Any) -> None:
        pool = make_pool(reactor, persistent=False)
        agent = Agent.usingEndpointFactory(reactor, _Sockets(directory, reactor), pool)
        self._http: HTTPClient = treq_client(agent)
        self._timeouts = timeouts
        self._reactor = reactor

    async def open(self, slot: int, key: PartialKey, start: int) -> Streamed:
        """Ask the worker in a slot for bytes that it has in memory. Raises as `Peer.open` does."""
        url, wanted = f"http://worker-{slot}{path_of(key)}", {"Range": [f"bytes={start}-"]}
        header, idle = (seconds + _MORE_SECONDS for seconds in (self._timeouts.headers, self._timeouts.idle))
        try:
            response = await send(self._http, "GET", url, wanted, header, self._reactor)
        except TRANSPORT_ERRORS as error:
            raise PeerIsGone(f"worker {slot}: {describe(error)}") from error
        if response.code in (200, 206):
            headers = {"content-range": field_of(response, b"content-range") or ""}
            return Streamed(response.code, headers, Relay(response, idle, self._reactor))
        abandon(response)
        if response.code == 404:
            raise PeerIsGone(f"worker {slot} has {key.entry} no more")
        raise NotThere(f"worker {slot} answered {response.code}")


@dataclass(frozen=True, slots=True)
class WorkerWithBlob:
    """Another worker that has a blob in memory (Peer)."""

    asking: Asking
    slot: int
    key: PartialKey
    whose: Hashable

    async def open(self, start: int) -> Streamed:
        """Ask for the bytes (Peer)."""
        return await self.asking.open(self.slot, self.key, start)


@implementer(IAgentEndpointFactory)
class _Sockets:
    def __init__(self, directory: Path, reactor: Any) -> None:
        self._directory = directory
        self._reactor = reactor

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        slot = int(uri.host.removeprefix(b"worker-"))
        return UNIXClientEndpoint(self._reactor, str(socket_of(self._directory, slot)), timeout=5)
