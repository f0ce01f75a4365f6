"""Over real sockets and real TLS."""

from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint

from crproxy.fleet.asking_nodes import AskingNodes, NodeIsGone
from crproxy.fleet.node_service import NodeService
from crproxy.upstream.relay import BodyBroke
from tests.fleet.nodes import CONTENT, KEY, REACTOR, Node, read, turns
from tests.fleet.test_identity import OURS
from tests.reactor import on_the_reactor


@on_the_reactor
async def test_one_that_is_stopped_ends_what_it_is_sending_first(node: Node, asks: AskingNodes) -> None:
    body = node.fill(5000)
    joined = Deferred.fromCoroutine(read(asks, node.url, KEY))
    await turns()
    url, stopped = node.url, node.service.stopService()
    body.send(CONTENT[5000:])
    body.end()
    assert await joined == CONTENT
    await stopped
    with pytest.raises(NodeIsGone, match="refuses connections"):
        await asks.about(url)


@on_the_reactor
async def test_one_that_takes_too_long_to_stop_is_cut_off(node: Node, asks: AskingNodes) -> None:
    node.fill(5000)
    joined = Deferred.fromCoroutine(read(asks, node.url, KEY))
    await turns()
    node.service._grace = 0.01
    await node.service.stopService()
    with pytest.raises(BodyBroke, match=r"https://127.0.0.1:\d+ ended in mid-body"):
        await joined


@on_the_reactor
async def test_a_place_that_is_taken_cannot_be_listened_on(node: Node) -> None:
    port = cast(Any, node.service.ports[0].getHost()).port
    taken = TCP4ServerEndpoint(REACTOR, port, interface="127.0.0.1")
    service = NodeService([taken], OURS, node.service.site, 5, REACTOR)
    with pytest.raises(Exception, match="Address already in use"):
        service.privilegedStartService()
