"""Connections that are made."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from crproxy.transports.clients import connect_tcp
from tests.reactor import on_the_reactor


class _Factory(ClientFactory):
    noisy = False
    protocol = Protocol

    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.failures.append(reason)


@on_the_reactor
async def test_one_that_is_not_made_yet_may_end_with_the_reactor() -> None:
    with contextlib.ExitStack() as full:
        listening = full.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            # Beyond its backlog it answers nobody (listen(2)).
            waiting = full.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        factory = _Factory()
        connector: Any = connect_tcp(reactor, "127.0.0.1", listening.getsockname()[1], factory)
        # As ReactorBase.disconnectAll does.
        connector.transport.connectionLost(Failure(ConnectionLost()))
        assert len(factory.failures) == 1
