from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from crproxy.admin.doctor.environment import CONNECT_SECONDS, SECONDS
from crproxy.admin.doctor.http_probe import ProbeResult, probe
from tests.memory import ended


class Probed:
    """A probe at an address from which nothing comes back."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        endpoint = HostnameEndpoint(self.reactor, "192.0.2.7", 443, timeout=CONNECT_SECONDS)
        self._result = Deferred.fromCoroutine(probe(self.reactor, endpoint, "https://192.0.2.7/v2/"))

    def result(self) -> ProbeResult:
        return ended(self._result)


def test_what_drops_every_packet_is_not_connected_to() -> None:
    probed = Probed()
    (_, _, factory, timeout, _) = probed.reactor.tcpClients[0]
    assert timeout == CONNECT_SECONDS < SECONDS
    (connector,) = probed.reactor.connectors
    factory.clientConnectionFailed(connector, Failure(ConnectTimeout()))
    probed.reactor.advance(CONNECT_SECONDS)
    seen = probed.result()
    assert (seen.connected, seen.status, seen.why) == (False, None, "it did not answer in time")


def test_what_is_given_up_while_it_is_connected_to_is_a_result_too() -> None:
    probed = Probed()
    probed.reactor.advance(SECONDS)
    assert probed.result().why == "it did not answer in time"
