"""Questions to other nodes: for what they have of a blob, and who they are.

What they send is checked like what upstream sends: who fills from it compares the digest.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IConsumer, IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from ..flights.peers import NotThere, PeerIsGone
from ..peers.addresses import path_of
from ..policy.urls import origin_of
from ..store.blobs import PartialKey
from ..upstream.agent import USER_AGENT, send, treq_client
from ..upstream.client import Streamed
from ..upstream.connecting import ConnectingReactor
from ..upstream.errors import TRANSPORT_ERRORS, describe, innermost
from ..upstream.fields import field_of
from ..upstream.protocol import make_pool
from ..upstream.relay import BodyBroke, BodyTooLarge, Relay, collect, discard
from ..upstream.securing import SecuredEndpoint
from ..upstream.sockets import Sockets
from .about import About, read_about
from .identity import NODE_NAME

if TYPE_CHECKING:
    from treq.client import HTTPClient

__all__ = ["AskingNodes", "NodeIsGone", "NotThere"]

# To the end of the handshake: nodes are near each other, and one that is dead must not be waited for.
_CONNECT_SECONDS = 2.0
# For a few words.
_ABOUT_SECONDS = 5.0
_ABOUT_LIMIT = 64 * 1024
# Connections under way to all nodes, kept to all, and to each.
_MOST, _MOST_IDLE, _MOST_IDLE_EACH = 1024, 64, 8


class NodeIsGone(PeerIsGone):
    """A node cannot be reached, is none of ours, or does not answer as one does; the text says which."""


class AskingNodes:
    """Asks other nodes. ``answers`` counts the contents that they gave, in whole or in part,
    and ``bytes_received`` the bytes.

    Arguments:
        context: shows who we are, and trusts nodes alone (see `Identity.client`).
        headers: seconds to the header of an answer: what that waits for may be upstream's.
        idle: seconds that a node may take between two pieces of a body.
        reactor: connects.
        most: how many answers may be under way at a time.
    """

    _log = Logger()

    def __init__(self, context: ssl.SSLContext, headers: float, idle: float, reactor: Any, most: int = _MOST) -> None:
        self.answers = self.bytes_received = 0
        self._pool = make_pool(reactor, persistent=True, sockets=Sockets(most, most, min(most, _MOST_IDLE)))
        self._pool.maxPersistentPerHost = _MOST_IDLE_EACH
        agent = Agent.usingEndpointFactory(reactor, _Nodes(context, reactor), self._pool)
        self._http: HTTPClient = treq_client(agent)
        self._headers = headers
        self._idle = idle
        self._reactor = reactor

    async def open(self, url: str, key: PartialKey, start: int) -> Streamed:
        """Ask the node at ``url`` for the bytes from ``start`` on.

        Returns:
            A 206 with its Content-Range, or a 200 from the first byte on; the body breaks (BodyBroke) where it is cut.

        Raises:
            NodeIsGone: it cannot be asked.
            NotThere: it has nothing of the blob (404), or not these bytes (416).
        """
        headers = {"Range": [f"bytes={start}-"]}
        response = await self._ask(url, f"/v1{path_of(key)}", headers, self._headers)
        if response.code in (200, 206):
            sent = {"content-range": field_of(response, b"content-range") or ""}
            self.answers += 1
            relay = Relay(response, self._idle, self._reactor, self._received)
            return Streamed(response.code, sent, _Body(relay, url))
        raise self._refusal(url, response)

    async def read(self, url: str, key: PartialKey, limit: int) -> bytes | None:
        """Return small content that the node at ``url`` has, which nobody has checked; None where it cannot be had.

        Arguments:
            limit: bytes at the most.
        """
        try:
            response = await self._ask(url, f"/v1{path_of(key)}", {}, self._headers)
            if response.code != 200:
                raise self._refusal(url, response)
            content = await collect(response, limit, self._idle, self._reactor, self._received)
            self.answers += 1
            return content
        except (NodeIsGone, NotThere, BodyBroke, BodyTooLarge) as error:
            self._log.debug("{entry} does not come from {url}: {error}", entry=key.entry, url=url, error=error)
            return None

    async def about(self, url: str) -> About:
        """Ask the node at ``url`` who it is. Raises NodeIsGone."""
        response = await self._ask(url, "/v1/node", {}, _ABOUT_SECONDS)
        if response.code != 200:
            raise self._refusal(url, response)
        try:
            return read_about(await collect(response, _ABOUT_LIMIT, _ABOUT_SECONDS, self._reactor))
        except (BodyBroke, BodyTooLarge, ValueError) as error:
            raise NodeIsGone(f"{url} does not say who it is: {_of_a_node(error)}") from error

    def close(self) -> Deferred[Any]:
        """Close the connections that are kept; fires when they are closed."""
        closed: Deferred[Any] = self._pool.closeCachedConnections()
        return closed

    async def _ask(self, url: str, path: str, headers: dict[str, list[str]], seconds: float) -> IResponse:
        origin = origin_of(url)
        if origin is None or origin.scheme != "https":
            raise NodeIsGone(f"{url} is no node's address: it has to begin with https://")
        asked = {"User-Agent": [USER_AGENT], **headers}
        try:
            return await send(self._http, "GET", f"{origin}{path}", asked, seconds, self._reactor)
        except TRANSPORT_ERRORS as error:
            if isinstance(innermost(error), ssl.SSLCertVerificationError):
                raise NodeIsGone(f"{url} is no node of this fleet, or has another secret: {describe(error)}") from error
            raise NodeIsGone(f"{url}: {describe(error)}") from error

    def _received(self, number: int) -> None:
        self.bytes_received += number

    def _refusal(self, url: str, response: IResponse) -> NotThere | NodeIsGone:
        discard(response, _ABOUT_SECONDS, self._reactor)
        kind = NotThere if response.code in (404, 416) else NodeIsGone
        return kind(f"{url} answered {response.code}")


@dataclass(frozen=True, slots=True)
class _Body:
    """A body of a node's (Body)."""

    relay: Relay
    url: str

    @property
    def length(self) -> int | None:
        """Bytes, where that is known (Body)."""
        return self.relay.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let them flow (Body)."""
        return self.relay.join(consumer).addErrback(self._name)

    def abandon(self) -> None:
        """Let go of them (Body)."""
        self.relay.abandon()

    def _name(self, failure: Failure) -> NoReturn:
        error = failure.value
        if isinstance(error, BodyBroke):
            raise type(error)(f"{self.url} {_of_a_node(error)}") from error
        failure.raiseException()


@implementer(IAgentEndpointFactory)
class _Nodes:
    """Connects to them, wherever their addresses lead: who answers there has to show who it is."""

    def __init__(self, context: ssl.SSLContext, reactor: Any) -> None:
        self._context = context
        self._reactor = reactor

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        reached = HostnameEndpoint(ConnectingReactor(self._reactor), host, uri.port, timeout=_CONNECT_SECONDS)
        return _InTime(SecuredEndpoint(reached, self._context, NODE_NAME), self._reactor)


@implementer(IStreamClientEndpoint)
class _InTime:
    def __init__(self, endpoint: IStreamClientEndpoint, clock: IReactorTime) -> None:
        self._endpoint = endpoint
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connected: Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        return connected.addTimeout(_CONNECT_SECONDS, self._clock, _too_late)


def _too_late(_: object, seconds: float) -> NoReturn:
    """Say so: by itself an endpoint that is cancelled fails with whatever it was at, as if something had gone wrong."""
    raise TookTooLong


def _of_a_node(error: Exception) -> str:
    """Return what is said of bodies, without who it is said of elsewhere."""
    return str(error).removeprefix("upstream ")
