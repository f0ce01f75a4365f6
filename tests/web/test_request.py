from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import bcrypt
import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import succeed
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from crproxy.admin.site import make_admin_site
from crproxy.config import Clients, Config, Listen
from crproxy.oci.digests import Digest
from crproxy.policy.audit import CacheState, Ending, Record
from crproxy.web.plain import make_plain_site
from crproxy.web.request import ObservedRequest, note_user
from crproxy.web.site import PlainSite
from tests.logs import Log
from tests.memory import Network, answer
from tests.parts.request_ids import ID, without_id
from tests.web.conftest import NAMES, Browser, Current
from tests.web.test_registry import ALICES

QUAY = "https://quay.io"
CONTENT = b"0123456789"
DIGEST = Digest.of(CONTENT)
BLOB = f"/v2/quay.io/org/name/blobs/{DIGEST}"
LARGE = 200 * 1024 * 1024


class Observed(Browser):
    """A client whose requests are looked at when they are over."""

    def __init__(self, site: PlainSite, network: Network) -> None:
        self.records: list[Record] = []
        site.observe = self.records.append
        super().__init__(site, network)

    @property
    def record(self) -> Record:
        assert len(self.records) == 1, self.records
        return self.records[0]


@pytest.fixture
def observed(site: PlainSite, network: Network) -> Observed:
    return Observed(site, network)


def test_an_answer_is_told_of_with_all_that_is_known(network: Network, observed: Observed) -> None:
    network.serve(QUAY, lambda _: None)
    network.clock.advance(50.5)
    observed.ask(BLOB, "User-Agent: skopeo/1.18")
    network.advance(2)
    assert observed.records == []
    network.waiting[0].send(answer(200, CONTENT))
    assert observed.record == Record(
        moment=50.5,
        site="registry",
        client="192.168.1.1",
        user=None,
        method="GET",
        target=BLOB,
        protocol="HTTP/1.1",
        host="cr.test",
        agent="skopeo/1.18",
        registry="quay.io",
        repository="org/name",
        reference=str(DIGEST),
        status=200,
        sent=len(CONTENT),
        seconds=2,
        cache=CacheState.STORED,
        ending=Ending.WHOLE,
    )


def test_of_several_parts_what_is_around_them_was_sent_too(network: Network, observed: Observed) -> None:
    network.serve(QUAY, answer(200, CONTENT))
    observed.get(BLOB)
    observed.wire.clear()
    received = observed.get(BLOB, "Range: bytes=0-1,3-4")
    assert (received.status, received.one("Content-Length")) == (206, str(len(received.body)))
    assert (observed.records[1].sent, observed.records[1].cache) == (len(received.body), CacheState.HIT)


@pytest.mark.parametrize(
    ("target", "name", "reference"),
    [
        ("/v2/quay.io/org/name/manifests/v1", "org/name", "v1"),
        (f"/v2/quay.io/org/name/manifests/{DIGEST}", "org/name", str(DIGEST)),
        (f"/v2/quay.io/org/name/referrers/{DIGEST}", "org/name", str(DIGEST)),
        ("/v2/quay.io/org/name/tags/list", "org/name", None),
        ("/v2/docker.io/nginx/tags/list", "library/nginx", None),
    ],
)
def test_what_was_asked_for_is_told_though_it_is_not_there(
    network: Network, observed: Observed, target: str, name: str, reference: str | None
) -> None:
    for origin in (QUAY, "https://registry-1.docker.io"):
        network.serve(origin, answer(404))
    observed.ask(target)
    assert (observed.record.repository, observed.record.reference) == (name, reference)
    assert (observed.record.status, observed.record.cache, observed.record.ending) == (404, None, Ending.WHOLE)


@pytest.mark.parametrize(
    ("method", "target", "host", "status"),
    [
        ("GET", "/v2/", "cr.test", 200),
        ("HEAD", "/v2/", "cr.test", 200),
        ("GET", "/", "cr.test", 200),
        ("HEAD", "/", "cr.test", 200),
        ("POST", "/", "cr.test", 405),
        ("GET", "/favicon.ico", "cr.test", 404),
        ("GET", "/v2/", "other.test", 421),
        ("GET", "/v2/", None, 421),
        ("PUT", "/v2/quay.io/a/blobs/uploads/", "cr.test", 405),
        ("GET", "/v2/quay.io/A/tags/list", "cr.test", 400),
        ("OPTIONS", "*", "cr.test", 200),
        ("GET", "/v2", "cr.test", 200),
    ],
)
def test_every_request_is_told_of_once(
    observed: Observed, method: str, target: str, host: str | None, status: int
) -> None:
    observed.ask(target, method=method, host=host)
    observed.leave()
    assert (observed.record.method, observed.record.target, observed.record.host) == (method, target, host)
    assert (observed.record.status, observed.record.registry, observed.record.ending) == (status, None, Ending.WHOLE)


def test_an_error_in_a_resource_is_told_of(network: Network) -> None:
    class Broken(Resource):
        isLeaf = True

        def render(self, request: Request) -> int:
            raise ZeroDivisionError

    observed = Observed(PlainSite.make(Broken(), "registry", network.clock, None), network)
    with Log() as log:
        received = observed.get("/?token=x")
    assert log.failures == [ZeroDivisionError]
    assert (observed.record.status, observed.record.ending) == (500, Ending.WHOLE)
    told = without_id(received.body.decode(), received.one("X-Request-Id"))
    assert (received.status, told) == (500, "crproxy itself failed; its log says why\n")
    (event,) = (event for event in log.events if "log_failure" in event)
    assert (event["request_id"], event["target"]) == (observed.record.request, "/?token=***")


@pytest.mark.parametrize("data", [b"\x16\x03\x01", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost: cr.test\r\n", b"\r\n"])
def test_what_never_was_a_request_is_not(observed: Observed, data: bytes) -> None:
    observed.send(data)
    observed.leave()
    assert observed.records == []


def test_a_head_sends_no_body(network: Network, observed: Observed) -> None:
    network.serve(QUAY, answer(200, b"", length=LARGE))
    observed.head(BLOB)
    assert (observed.record.status, observed.record.sent) == (200, 0)


def test_who_leaves_before_the_header_is_told_of(network: Network, observed: Observed) -> None:
    network.serve(QUAY, lambda _: None)
    observed.ask(BLOB)
    observed.leave()
    assert (observed.record.status, observed.record.sent, observed.record.ending) == (None, 0, Ending.LEFT)
    assert observed.record.reference == str(DIGEST)


def test_who_leaves_in_mid_body_is_told_of_with_what_was_sent(network: Network, observed: Observed) -> None:
    network.serve(QUAY, answer(200, CONTENT, length=LARGE))
    observed.ask(BLOB)
    network.advance(3)
    observed.leave()
    assert (observed.record.status, observed.record.sent, observed.record.ending) == (200, 10, Ending.LEFT)
    assert (observed.record.seconds, observed.record.cache) == (3, CacheState.STORED)


def test_what_we_cut_is_told_apart(network: Network, observed: Observed) -> None:
    network.serve(QUAY, answer(200, b"0123", length=10))
    observed.ask(BLOB)
    for _ in range(8):
        network.connections[-1].cut()
        network.advance(2)
    assert observed.wire.aborted
    observed.lose(Failure(ConnectionAborted()))
    assert (observed.record.status, observed.record.sent, observed.record.ending) == (200, 4, Ending.CUT)


def test_pipelined_requests_are_told_of_in_their_order(observed: Observed) -> None:
    observed.send(b"".join(f"GET /{number} HTTP/1.1\r\nHost: cr.test\r\n\r\n".encode() for number in range(3)))
    assert [record.target for record in observed.records] == ["/0", "/1", "/2"]
    assert [record.status for record in observed.records] == [404] * 3


def test_requests_that_wait_behind_one_that_is_left_are_not_told_of(network: Network, observed: Observed) -> None:
    network.serve(QUAY, lambda _: None)
    observed.send(f"GET {BLOB} HTTP/1.1\r\nHost: cr.test\r\n\r\nGET / HTTP/1.1\r\nHost: cr.test\r\n\r\n".encode())
    observed.leave()
    assert observed.record.target == BLOB


@pytest.mark.parametrize(("method", "status"), [("GET", 308), ("POST", 308)])
def test_a_redirect_to_https_is_told_of(network: Network, method: str, status: int) -> None:
    site = make_plain_site(lambda _: None, None, lambda: Config(NAMES), 443, network.clock)
    assert isinstance(site, PlainSite)
    observed = Observed(site, network)
    observed.ask("/v2/", method=method)
    assert (observed.record.site, observed.record.status) == ("plain", status)


def test_what_an_operator_asks_is_told_of(network: Network) -> None:
    site = make_admin_site(dict, lambda *_: pytest.fail("not asked"), lambda: succeed([]), network.clock)
    assert isinstance(site, PlainSite)
    observed = Observed(site, network)
    observed.ask("/aliases")
    assert (observed.record.site, observed.record.status) == ("admin", 200)


@pytest.mark.parametrize(
    ("address", "client"), [(IPv4Address("TCP", "192.0.2.7", 5), "192.0.2.7"), (UNIXAddress("/run/x"), None)]
)
def test_a_client_is_named_by_its_address(observed: Observed, address: IAddress, client: str | None) -> None:
    observed.wire.peerAddr = address
    observed.ask("/v2/")
    assert observed.record.client == client


def test_who_has_logged_in_is_told(network: Network) -> None:
    class Authenticator(Resource):
        isLeaf = True

        def render(self, request: Request) -> bytes:
            note_user(request, "alice")
            return b""

    observed = Observed(PlainSite.make(Authenticator(), "registry", network.clock, None), network)
    observed.ask("/")
    assert observed.record.user == "alice"


@pytest.mark.parametrize(("known", "said"), [(None, "alice"), ("bob", "alice"), ("bob", None), (None, None)])
def test_who_the_connection_is_of_is_told_where_the_request_does_not_say(
    network: Network, known: str | None, said: str | None
) -> None:
    """Such as behind a CONNECT that came with a login."""

    class Authenticator(Resource):
        isLeaf = True

        def render(self, request: Request) -> bytes:
            note_user(request, said)
            return b""

    observed = Observed(PlainSite.make(Authenticator(), "registry", network.clock, None), network)
    channel: Any = observed._protocol
    channel.user = known
    observed.ask("/")
    assert observed.record.user == (said or known)


def test_a_line_that_cannot_be_written_holds_up_no_request(observed: Observed, site: PlainSite) -> None:
    def fail(record: Record) -> None:
        raise ZeroDivisionError

    site.observe = fail
    with Log() as log:
        observed.send(b"GET / HTTP/1.1\r\nHost: cr.test\r\n\r\n" * 2)
    assert observed.wire.value().count(b"HTTP/1.1 200 OK") == 2
    assert log.failures == [ZeroDivisionError] * 2


class Saying(Resource):
    """Answers with what it is told to say of a request."""

    isLeaf = True

    def __init__(self, say: Callable[[ObservedRequest], object]) -> None:
        super().__init__()
        self._say = say

    def render(self, request: Request) -> bytes:
        assert isinstance(request, ObservedRequest)
        return repr(self._say(request)).encode()


def saying(network: Network, say: Callable[[ObservedRequest], object]) -> Observed:
    return Observed(PlainSite.make(Saying(say), "registry", network.clock, None), network)


def test_s26_what_twisted_writes_of_a_request_has_no_secret_in_it(network: Network) -> None:
    observed = saying(network, lambda request: request)
    observed.ask("/?token=hunter2&x=hunter2", "Authorization: Bearer hunter2")
    body = observed.received().body
    assert b"ObservedRequest GET" in body
    assert b"hunter2" not in body


def test_a_head_has_no_body_and_no_line_in_the_log(network: Network) -> None:
    """Twisted leaves a body out by itself, and says so each time: whoever asks would fill the log."""
    observed = saying(network, lambda _: "x" * 98)
    with Log() as log:
        received = observed.head("/")
    assert (received.body, received.one("Content-Length"), log.lines) == (b"", "100", [])


def test_a_form_is_not_read_into_memory(network: Network) -> None:
    observed = saying(network, lambda request: request.args)
    observed.send(
        b"POST / HTTP/1.1\r\nHost: cr.test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 3\r\n\r\na=b"
    )
    assert observed.received().body == b"{}"


@pytest.mark.parametrize(("target", "user"), [("/token", "alice"), ("/v2/", None), ("/", None)])
def test_behind_a_trusted_proxy_each_line_has_the_client_and_a_login_its_user(
    observed: Observed, current: Current, target: str, user: str | None
) -> None:
    clients = Clients({"alice": bcrypt.hashpw(b"of alice", bcrypt.gensalt(4))})
    trusted = Listen(trusted_proxies=(ip_network("192.168.1.1/32"),))
    current.config = replace(current.config, clients=clients, listen=trusted)
    lines = ["X-Forwarded-For: 198.51.100.9"]
    if user is not None:
        lines.append(f"Authorization: {ALICES}")
    observed.ask(target, *lines)
    assert (observed.record.client, observed.record.user) == ("198.51.100.9", user)


# Its id


def given(observed: Observed, *lines: str, target: str = "/x") -> str | None:
    """What a request is told of with that has these lines; its error has the same in its header."""
    received = observed.get(target, *lines)
    assert received.one("X-Request-Id") == observed.records[-1].request
    return observed.records[-1].request


def trusting(current: Current, network: str = "192.168.0.0/16") -> None:
    current.config = replace(current.config, listen=Listen(trusted_proxies=(ip_network(network),)))


@pytest.fixture
def trusted_site(site: PlainSite, current: Current) -> PlainSite:
    """The site, as the daemon makes it."""
    site.trusted = lambda: current().listen.trusted_proxies
    return site


def test_each_error_has_an_id_of_its_own(observed: Observed) -> None:
    ids = []
    for target in ("/x", "/v2/quay.io/A/tags/list", "/x"):
        observed.wire.clear()
        ids.append(given(observed, target=target))
    assert len({*ids}) == 3
    assert all(ID.fullmatch(one or "") for one in ids)


def test_nobody_is_told_an_id_where_all_is_well(observed: Observed) -> None:
    assert observed.get("/v2/").one("X-Request-Id") is None
    assert observed.record.request is None


def test_what_a_client_says_is_its_id_is_not_believed(
    network: Network, current: Current, trusted_site: PlainSite
) -> None:
    for network_trusted in (None, "10.0.0.0/8"):
        if network_trusted is not None:
            trusting(current, network_trusted)
        assert ID.fullmatch(given(Observed(trusted_site, network), "X-Request-Id: mine") or "")


def test_what_a_trusted_proxy_says_is(network: Network, current: Current, trusted_site: PlainSite) -> None:
    trusting(current)
    assert given(Observed(trusted_site, network), "X-Request-Id: 0b5c1f5e-6f6f") == "0b5c1f5e-6f6f"
    observed = Observed(trusted_site, network)
    observed.get("/v2/", "X-Request-Id: fine")
    assert observed.record.request == "fine", "it may be looked for, though nothing is wrong"


@pytest.mark.parametrize(
    "lines", [("X-Request-Id: a b",), ("X-Request-Id: " + "x" * 65,), ("X-Request-Id: a", "X-Request-Id: b")]
)
def test_not_even_of_a_trusted_proxy_anything_is_believed(
    network: Network, current: Current, trusted_site: PlainSite, lines: tuple[str, ...]
) -> None:
    trusting(current)
    assert ID.fullmatch(given(Observed(trusted_site, network), *lines) or "")
