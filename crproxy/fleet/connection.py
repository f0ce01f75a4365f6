"""One connection to Valkey that is made again each time it ends, and looked at each second while it stands.

Knows nothing of what is said on it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from ..config import ValkeyAddress
from ..upstream.connecting import ConnectingReactor
from ..upstream.securing import SecureEndpoint, make_context

__all__ = ["ANSWER_SECONDS", "Connection", "endpoint_of"]

# What is not answered within this is away: nobody waits longer for Valkey, whatever it was asked.
ANSWER_SECONDS = 1.0
# Until a connection stands; a name may have to be looked up first.
_CONNECT_SECONDS = 5.0
# Between two looks at a connection that stands.
_LOOK_SECONDS = 1.0
# Between two attempts, at first and at the most. Each is up to a half shorter: not all nodes come back at once.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


def endpoint_of(address: ValkeyAddress, reactor: Any) -> IStreamClientEndpoint:
    """Return how ``address`` is connected to."""
    if address.path:
        return UNIXClientEndpoint(reactor, address.path, timeout=_CONNECT_SECONDS)
    connecting = ConnectingReactor(reactor)
    endpoint = HostnameEndpoint(connecting, address.host.encode(), address.port, timeout=_CONNECT_SECONDS)
    if not address.tls:
        return endpoint
    return SecureEndpoint(endpoint, make_context(address.authorities), address.host)


class Connection:
    """A connection that is kept.

    Arguments:
        endpoint: connects.
        make: makes its protocol (crproxy.fleet.protocol).
        greet: is run before anybody else may use it: login, and whether it is of any use.
        look: is run each second while it stands; its failure ends the connection.
        told: is called with None when it can be used, and with an error when it cannot.
        reactor: the time.

    ``protocol`` is what can be asked now; None where nothing can.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        make: Callable[[], Any],
        greet: Callable[[Any], Coroutine[Any, Any, None]],
        look: Callable[[Any], Coroutine[Any, Any, None]],
        told: Callable[[Exception | None], None],
        reactor: Any,
    ) -> None:
        self.protocol: Any = None
        self._endpoint = endpoint
        self._factory = Factory.forProtocol(make)
        self._factory.noisy = False
        self._greet = greet
        self._look = look
        self._told = told
        self._reactor = reactor
        self._keeping: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Connect, now and whenever it is needed."""
        self._keeping = Deferred.fromCoroutine(self._keep())
        self._keeping.addErrback(lambda failure: failure.trap(CancelledError) and None)

    def stop(self) -> None:
        """End it for good."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()

    def drop(self, protocol: Any, error: Exception) -> None:
        """End this connection, if it is the one that is used: ``error`` says why. Another is made."""
        if self.protocol is protocol and protocol is not None:
            self._forget()
            protocol.transport.abortConnection()
            self._told(error)

    async def _keep(self) -> None:
        failures = 0
        while True:
            protocol = None
            try:
                protocol = await self._endpoint.connect(self._factory).addTimeout(_CONNECT_SECONDS, self._reactor)
                await self._greet(protocol)
            except CancelledError:
                _abort(protocol)
                raise
            except Exception as error:
                _abort(protocol)
                self._told(error)
                failures += 1
            else:
                failures = 0
                await self._use(protocol)
            await deferLater(self._reactor, _pause(failures))

    async def _use(self, protocol: Any) -> None:
        self.protocol = protocol
        self._schedule(protocol)
        self._told(None)
        try:
            await protocol.lost
        except CancelledError:
            self._forget()
            protocol.transport.abortConnection()
            raise
        if self.protocol is protocol:
            self._forget()
            self._told(ConnectionError("the connection has ended"))

    def _forget(self) -> None:
        self.protocol = None
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _schedule(self, protocol: Any) -> None:
        if self.protocol is protocol:
            self._timer = self._reactor.callLater(_LOOK_SECONDS, self._look_at, protocol)

    def _look_at(self, protocol: Any) -> None:
        looked = Deferred.fromCoroutine(self._look(protocol))
        looked.addCallbacks(lambda _: self._schedule(protocol), lambda failure: self.drop(protocol, failure.value))


def _abort(protocol: Any) -> None:
    if protocol is not None:
        protocol.transport.abortConnection()


def _pause(failures: int) -> float:
    """Return the seconds before the next attempt, after so many that failed in a row."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
