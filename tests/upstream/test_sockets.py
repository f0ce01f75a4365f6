from __future__ import annotations

from collections.abc import Callable

import pytest
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.web.client import Agent
from twisted.web.iweb import IResponse

from crproxy.limits.current_client import ask_for
from crproxy.upstream.agent import send, treq_client
from crproxy.upstream.errors import TooManySockets, describe, innermost, is_ours, kind_of
from crproxy.upstream.protocol import make_pool
from crproxy.upstream.relay import collect
from crproxy.upstream.sockets import Sockets
from tests.memory import Network, answer, ended, failure_of

A, B = "2001:db8::1", "192.0.2.2"


@pytest.fixture
def network() -> Network:
    return Network()


def client_of(network: Network, sockets: Sockets) -> HTTPClient:
    pool = make_pool(network.clock, persistent=True, sockets=sockets)
    return treq_client(Agent.usingEndpointFactory(network.clock, network.endpoints(), pool))


class Asking:
    """A client of ours that asks upstreams, whose answers come when the test says so."""

    def __init__(self, network: Network, sockets: Sockets) -> None:
        self.network = network
        self.http = client_of(network, sockets)

    def ask(self, host: int, client: str | None = None) -> Deferred[IResponse]:
        origin = f"https://r{host}.example.org"
        self.network.serve(origin, lambda _: None)

        async def asked() -> IResponse:
            ask_for(client)
            return await send(self.http, "GET", f"{origin}/x", {}, 30, self.network.clock)

        return self.network.run(asked())

    def finish(self, asked: Deferred[IResponse]) -> None:
        """Let the one that has waited longest have its answer, whole."""
        self.network.waiting.pop(0).send(answer(200, b"x"))
        assert ended(self.network.run(collect(ended(asked), 10, 60, self.network.clock))) == b"x"


def test_so_many_are_under_way_and_more_are_refused(network: Network) -> None:
    sockets = Sockets(most=2)
    asking = Asking(network, sockets)
    first, _ = asking.ask(1), asking.ask(2)
    error = failure_of(asking.ask(3), Exception)
    assert isinstance(innermost(error), TooManySockets)
    assert (is_ours(error), kind_of(error), sockets.refused) == (True, "limit", 1)
    assert "this proxy has too much to ask" in describe(error)
    asking.finish(first)
    assert (sockets.under_way, sockets.idle) == (1, 1)
    asking.ask(3)
    assert sockets.under_way == 2


def test_and_so_many_for_one_client(network: Network) -> None:
    sockets = Sockets(most=10, most_for_client=2)
    asking = Asking(network, sockets)
    asking.ask(1, A), asking.ask(2, "2001:db8::2")
    failure_of(asking.ask(3, "2001:db8::3"), Exception)
    asking.ask(3, B), asking.ask(4, None)
    assert (sockets.under_way, len(sockets.by_client)) == (4, 2)


def test_one_that_is_kept_counts_when_it_is_used_again(network: Network) -> None:
    sockets = Sockets(most=1)
    asking = Asking(network, sockets)
    for _ in range(3):
        asked = asking.ask(1, A)
        assert (sockets.under_way, sockets.idle) == (1, 0)
        failure_of(asking.ask(2, A), Exception)
        asking.finish(asked)
        assert (sockets.under_way, sockets.idle, len(sockets.by_client)) == (0, 1, 0)
    assert len(network.connections) == 1


def test_one_that_is_kept_and_may_not_be_used_is_refused(network: Network) -> None:
    sockets = Sockets(most=1)
    asking = Asking(network, sockets)
    asking.finish(asking.ask(1))
    asking.ask(2)
    failure_of(asking.ask(1), Exception)
    assert (sockets.under_way, sockets.idle) == (1, 0)


@pytest.mark.parametrize("end", [lambda one: one.cut(), lambda one: one.end()])
def test_what_is_cut_counts_no_more(network: Network, end: Callable[[object], None]) -> None:
    sockets = Sockets()
    asking = Asking(network, sockets)
    asked = asking.ask(1, A)
    end(network.connections[0])
    failure_of(asked, Exception)
    assert (sockets.under_way, len(sockets.by_client)) == (0, 0)


def test_nor_what_cannot_be_connected_to(network: Network) -> None:
    sockets = Sockets()
    network.refuse("https://down.example.org", ConnectError())
    http = client_of(network, sockets)
    failure_of(send(http, "GET", "https://down.example.org/x", {}, 30, network.clock), Exception)
    assert sockets.under_way == 0


def test_the_one_that_idles_longest_is_closed_whatever_its_host(network: Network) -> None:
    sockets = Sockets(most_idle=2)
    asking = Asking(network, sockets)
    for host in range(1, 4):
        asking.finish(asking.ask(host))
    network.pump()
    assert sockets.idle == 2
    assert [connection.wire.closed for connection in network.connections] == [True, False, False]
    asking.finish(asking.ask(2))
    asking.finish(asking.ask(4))
    network.pump()
    assert [connection.wire.closed for connection in network.connections] == [True, False, True, False]
    network.advance(60)
    assert (sockets.idle, sockets.under_way) == (0, 0)
    assert all(connection.wire.closed for connection in network.connections)


def test_one_that_its_upstream_closes_idles_no_more(network: Network) -> None:
    sockets = Sockets()
    asking = Asking(network, sockets)
    asking.finish(asking.ask(1))
    network.connections[0].end()
    assert sockets.idle == 0
    assert network.clock.getDelayedCalls() == []


def test_no_descriptor_left_is_our_trouble() -> None:
    for error in (OSError(24, "Too many open files"), ConnectError(24, "Too many open files")):
        assert (is_ours(error), kind_of(error)) == (True, "limit")
        assert "EMFILE" in describe(error)
    assert not is_ours(ConnectError(111, "refused"))
    assert not is_ours(OSError())


def test_half_of_them_is_for_those_without_which_nothing_comes(network: Network) -> None:
    sockets = Sockets(most=8, most_for_client=4)
    asking = Asking(network, sockets)

    def spare(client: str | None) -> int:
        async def asked() -> int:
            ask_for(client)
            return sockets.spare()

        return ended(network.run(asked()))

    assert (spare(None), spare(A)) == (4, 2)
    asking.ask(1, A)
    assert (spare(None), spare(A), spare(B)) == (3, 1, 2)
    asking.ask(2, A)
    asking.ask(3, A)
    assert (spare(None), spare(A), spare(B)) == (1, -1, 1)
    asking.ask(4, B)
    asking.ask(5)
    assert (spare(None), spare(A), spare(B)) == (-1, -1, -1)
    asking.ask(6, B)
    assert sockets.refused == 0
