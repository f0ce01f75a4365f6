from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from treq.client import HTTPClient
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.testing import MemoryReactorClock
from twisted.web.client import HTTPConnectionPool
from twisted.web.iweb import IResponse

from crproxy.config import Timeouts, Upstream
from crproxy.oci.names import Registry
from crproxy.policy.proxies import Proxies, Proxy
from crproxy.upstream.agent import CODING, Clients, ProxyingAgent, send, treq_client
from crproxy.upstream.connecting import Endpoints, Reach
from crproxy.upstream.errors import RefusedByProxy
from crproxy.upstream.fields import field_of
from crproxy.upstream.relay import collect
from tests.memory import Network, answer, ended, failure_of
from tests.upstream.conftest import QUAY

URL = "https://quay.io/x"


def asked(
    network: Network, http: HTTPClient, headers: dict[str, list[str]] | None = None, url: str = URL
) -> Deferred[IResponse]:
    answered = send(http, "GET", url, headers or {}, 30, network.clock)
    network.pump()
    return answered


@pytest.mark.security("S17")
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "zstd", "br", "deflate", "aws-chunked", "x"])
def test_nothing_is_decoded(network: Network, http: HTTPClient, coding: str) -> None:
    network.serve("https://quay.io", answer(200, b"x", f"Content-Encoding: {coding.upper()}"))
    response = ended(asked(network, http))
    assert field_of(response, CODING) == coding
    assert not field_of(response, b"content-encoding")
    assert ended(network.run(collect(response, 1, 30, network.clock))) == b"x"


@pytest.mark.security("S17")
def test_it_is_ours_to_say_what_upstream_said(network: Network, http: HTTPClient) -> None:
    network.serve("https://quay.io", answer(200, b"x", f"{CODING.decode()}: gzip"))
    assert field_of(ended(asked(network, http)), CODING) is None


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_identity_is_no_encoding(network: Network, http: HTTPClient, coding: str) -> None:
    network.serve("https://quay.io", answer(200, b"x", f"Content-Encoding: {coding}"))
    assert field_of(ended(asked(network, http)), CODING) is None


@pytest.mark.security("S17")
def test_what_the_caller_accepts_is_overruled(network: Network, http: HTTPClient) -> None:
    network.serve("https://quay.io", answer())
    ended(asked(network, http, {"Accept-Encoding": ["gzip", "br"]}))
    assert network.seen[0].all("Accept-Encoding") == ["identity"]


@pytest.mark.parametrize("body", [b"{}", b""])
def test_a_body_is_sent_with_its_length(network: Network, http: HTTPClient, body: bytes) -> None:
    network.serve("https://quay.io", answer())
    answered = send(http, "POST", URL, {"Content-Type": ["application/json"]}, 30, network.clock, body)
    network.pump()
    assert ended(answered).code == 200
    (seen,) = network.seen
    assert (seen.body, seen.all("Content-Length"), seen.all("Transfer-Encoding")) == (body, [str(len(body))], [])
    assert seen.all("Content-Type") == ["application/json"]


def test_a_length_survives_treq(network: Network, http: HTTPClient) -> None:
    network.serve("https://quay.io", answer(200, b"abc"))
    assert ended(asked(network, http)).length == 3


def test_a_redirect_is_not_followed(network: Network, http: HTTPClient) -> None:
    network.serve("https://quay.io", answer(302, b"", "Location: /y"))
    assert ended(asked(network, http)).code == 302
    assert len(network.seen) == 1


PUBLIC = Upstream.public(QUAY)


def test_upstreams_of_one_kind_share_their_connections(reactor: MemoryReactorClock) -> None:
    clients = Clients(reactor, Timeouts())
    ghcr = Upstream.public(Registry("ghcr.io"))
    assert clients.client(PUBLIC) is clients.client(ghcr)


@pytest.mark.parametrize(
    "other",
    [
        replace(PUBLIC, private_hosts=frozenset({"inside"})),
        replace(PUBLIC, keepalive=False),
        replace(PUBLIC, proxies=Proxies.always(Proxy("proxy", 3128))),
        replace(PUBLIC, named=False),
    ],
    ids=["configured", "keepalive", "proxy", "unnamed"],
)
def test_upstreams_of_different_kinds_share_none(reactor: MemoryReactorClock, other: Upstream) -> None:
    clients = Clients(reactor, Timeouts())
    assert clients.client(PUBLIC) is not clients.client(other)


# Plain http through a proxy


@pytest.fixture
def proxied(network: Network, monkeypatch: pytest.MonkeyPatch) -> HTTPClient:
    """What asks an http upstream through the proxy, which the network serves."""
    proxy = Proxy("proxy.internal", 3128, "Basic dTpw")
    reach = Reach.of(replace(HTTP, proxies=Proxies(http=proxy)))
    endpoints = Endpoints(network.clock, 10, reach)
    monkeypatch.setattr(endpoints, "to_proxy", lambda _: network.endpoint(PROXY))
    pool = HTTPConnectionPool(network.clock, persistent=True)
    return treq_client(ProxyingAgent(network.clock, endpoints, pool))


HTTP = Upstream(QUAY, "http://registry.internal:5000", private_hosts=frozenset({"registry.internal"}))
PROXY = "http://proxy.internal:3128"


def test_the_proxy_is_asked_for_the_whole_url(network: Network, proxied: HTTPClient) -> None:
    network.serve(PROXY, answer(200, b"x"))
    answered = send(proxied, "GET", f"{HTTP.endpoint}/v2/", {"Authorization": ["Bearer t"]}, 30, network.clock)
    network.pump()
    assert ended(answered).code == 200
    assert network.seen[0].line == "GET http://registry.internal:5000/v2/ HTTP/1.1"
    assert network.seen[0].one("Host") == "registry.internal:5000"
    assert network.seen[0].one("Proxy-Authorization") == "Basic dTpw"
    assert network.seen[0].one("Authorization") == "Bearer t"


def test_the_proxys_own_refusal_is_no_answer_of_upstream(network: Network, proxied: HTTPClient) -> None:
    network.serve(PROXY, answer(407, b"who are you?"))
    answered = send(proxied, "GET", f"{HTTP.endpoint}/v2/", {}, 30, network.clock)
    network.pump()
    error = failure_of(answered, RefusedByProxy)
    assert str(error) == "the proxy proxy.internal:3128 answered 407 Whatever"


@pytest.mark.parametrize(
    "authority",
    ["[fd00::1]", "[fd00::1]:5000", "under_score.example", "r3---sn-abc.cdn.example", "127.1", "xn--a.example"],
)
def test_a_host_is_asked_as_it_is_written(network: Network, http: HTTPClient, authority: str) -> None:
    origin = f"https://{authority.replace('[', '').replace(']', '')}"
    network.serve(origin, answer())
    ended(asked(network, http, url=f"https://{authority}/x"))
    (seen,) = network.seen
    assert (seen.one("Host"), seen.target) == (authority, "/x")


@pytest.mark.parametrize(
    "error", [ConnectingCancelledError(IPv4Address("TCP", "192.0.2.1", 443)), DNSLookupError(), CancelledError()]
)
def test_who_leaves_is_no_failure_of_upstream_however_twisted_tells_it(network: Network, error: Exception) -> None:
    class Asking:
        def request(self, *_: object, **__: object) -> Deferred[IResponse]:
            return Deferred(lambda waiting: waiting.errback(error))

    answered = send(cast(HTTPClient, Asking()), "GET", "https://quay.io/", {}, 30, network.clock)
    answered.cancel()
    failure_of(answered, CancelledError)
