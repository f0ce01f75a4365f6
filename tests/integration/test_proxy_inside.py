"""What is said inside, where the HTTP proxy answers in a registry's place: by the same rules as everywhere else.

On a connection in the clear, and in TLS, where there is another TLS in it.
"""

from __future__ import annotations

import base64
import re
import signal
import ssl
import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import bcrypt
import pytest

from tests.parts.answers import Filler, Stall
from tests.parts.daemon import Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST
from tests.parts.malformed import malformed, smuggled
from tests.parts.proxy_client import Answered, Inside, ProxyClient, connect, read_answer, rest
from tests.parts.proxy_house import DOMAIN, House
from tests.parts.shapes import content, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.parts.answers import Gate
    from tests.parts.certificates import Authority

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

ONE, OTHER = "one.example.org", "other.example.org"
PASSWORD, HASHED = "of everybody", bcrypt.hashpw(b"of everybody", bcrypt.gensalt(8)).decode()
MEBIBYTE = 1 << 20
BODY = b'{"schemaVersion": 2}'
PATH = "/v2/team/app/manifests/v1"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.script(PATH, manifest(BODY, OCI_MANIFEST))
        yield upstream


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, fake: FakeUpstream, workers: int
) -> Iterator[House]:
    upstreams = {name: Upstream(fake.url) for name in (ONE, OTHER)}
    with House.build(tmp_path_factory.mktemp("daemon"), authority, upstreams) as house:
        yield house


@pytest.fixture
def start(tmp_path: Path, authority: Authority, fake: FakeUpstream) -> Iterator[Callable[[str], House]]:
    """Starts a daemon of the test's own."""
    with ExitStack() as running:

        def start(more: str) -> House:
            (tmp_path / "htpasswd").write_text(f"alice:{HASHED}\nbob:{HASHED}\n")
            upstreams = {name: Upstream(fake.url) for name in (ONE, OTHER)}
            return running.enter_context(House.build(tmp_path, authority, upstreams, more))

        yield start


@pytest.fixture(params=["clear", "tls"])
def client(request: pytest.FixtureRequest, house: House) -> Iterator[ProxyClient]:
    """A client; in the end another one is served."""
    client = house.client(request.param)
    before = len(house.daemon.log)
    yield client
    with client.inside(ONE) as inside:
        assert get(inside, PATH).body == BODY
    house.daemon.assert_calm(after=before)


def get(inside: Inside, path: str, *fields: str, host: str = ONE, method: str = "GET") -> Answered:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    return inside.say("\r\n".join(lines).encode())


def basic(user: str, password: str) -> str:
    return "Proxy-Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# Requests


@pytest.mark.security("S31", "S20")
def test_what_is_no_proper_request_is_answered_once_and_the_connection_closed(client: ProxyClient) -> None:
    answered = {}
    for kind, request in malformed(ONE).items():
        with client.inside(ONE) as inside:
            with suppress(ConnectionResetError, BrokenPipeError, ssl.SSLError):
                inside.sendall(request + smuggled(ONE))
            answered[kind] = [int(part[:3]) for part in inside.rest().split(b"HTTP/1.1 ")[1:]]
    assert answered == {kind: [400] for kind in malformed(ONE)}


@pytest.mark.security("S31", "S14")
@pytest.mark.parametrize("host", [OTHER, DOMAIN, "docker.io", f"{ONE}@{OTHER}", f"x.{ONE}", "127.0.0.1", "", "*"])
def test_another_host_than_the_connects_is_421(client: ProxyClient, fake: FakeUpstream, host: str) -> None:
    before = len(fake.seen.requests(PATH, "GET"))
    for path in (PATH, f"/v2/{OTHER}/team/app/manifests/v1"):
        with client.inside(ONE) as inside:
            answered = get(inside, path, host=host)
            assert answered.status == 421, answered
            assert b'"message"' in answered.body
    assert len(fake.seen.requests(PATH, "GET")) == before


@pytest.mark.parametrize("host", [ONE, f"{ONE}:443", ONE.upper(), f"{ONE}.", f"{ONE}:5000"])
def test_the_connects_host_is_answered(client: ProxyClient, host: str) -> None:
    with client.inside(ONE) as inside:
        assert get(inside, PATH, host=host).body == BODY


@pytest.mark.security("S31")
def test_no_other_registry_is_asked_for_inside(client: ProxyClient, fake: FakeUpstream) -> None:
    """Neither by a prefix, which is a part of the repository's name here, nor by a namespace, nor in absolute form."""
    before = len(fake.seen.requests())
    with client.inside(ONE) as inside:
        assert get(inside, f"/v2/{OTHER}/team/app/manifests/v1").status == 404
        assert get(inside, f"{PATH}?ns={OTHER}").status in (400, 403, 404, 421)
        assert get(inside, f"https://{OTHER}{PATH}", host=OTHER).status == 404
    asked = {request.path.partition("?")[0] for request in fake.seen.requests()[before:]}
    assert asked <= {PATH, f"/v2/{OTHER}/team/app/manifests/v1"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_only_pulls_are_answered_inside(client: ProxyClient, method: str) -> None:
    with client.inside(ONE) as inside:
        answered = get(inside, PATH, "Content-Length: 0", method=method)
        assert (answered.status, b"only pulls" in answered.body) == (405, True)


@pytest.mark.security("S31")
@pytest.mark.parametrize("target", [f"{ONE}:443", f"{OTHER}:443", "127.0.0.1:22"])
def test_there_is_no_proxy_inside_of_the_proxy(client: ProxyClient, target: str) -> None:
    with client.inside(ONE) as inside:
        inside.sendall(connect(target))
        assert read_answer(inside).status in (400, 404, 405, 421)  # type: ignore[arg-type]  # it has what is needed


def test_no_other_protocol_is_turned_to_inside(client: ProxyClient) -> None:
    upgrades = {
        "websocket": ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"],
        "h2c": ["HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
        "TLS/1.3": [],
        "connect-udp": ["Capsule-Protocol: ?1"],
    }
    for protocol, fields in upgrades.items():
        with client.inside(ONE) as inside:
            asked = get(inside, PATH, "Connection: Upgrade", f"Upgrade: {protocol}", *fields)
            # A server may ignore it (RFC 9110, 7.8).
            assert (asked.status, asked.body, asked.headers["Upgrade"]) == (200, BODY, None)
            assert get(inside, "/v2/").status == 200


def test_http_2_is_not_spoken_inside(client: ProxyClient) -> None:
    with client.inside(ONE) as inside:
        assert inside.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status == 400


# TLS


@pytest.mark.security("S31")
@pytest.mark.parametrize("name", [OTHER, DOMAIN, f"x.{ONE}", "example.com", f"{ONE}.example.com"])
def test_another_name_than_the_connects_gets_the_alert_for_that(house: House, client: ProxyClient, name: str) -> None:
    before = len(house.daemon.log)
    with client.reach(f"{ONE}:443") as connection, pytest.raises(ssl.SSLError) as refused:
        Inside(connection, client.trust(), name)
    assert refused.value.reason == "TLSV1_UNRECOGNIZED_NAME"
    told = f"CONNECT {ONE}:443 from 127.0.0.1: another name is asked for in TLS: {name}"
    house.daemon.wait_for_log(re.escape(told), after=before)


@pytest.mark.parametrize("name", [ONE.upper(), None])
def test_who_names_it_otherwise_or_nobody_is_shown_its_certificate(client: ProxyClient, name: str | None) -> None:
    context = client.trust()
    context.check_hostname = False
    with Inside(client.reach(f"{ONE}:443"), context, name) as inside:
        shown = inside.tls.getpeercert()
        assert shown is not None
        assert shown["subjectAltName"] == (("DNS", ONE),)


@pytest.mark.parametrize(("offered", "chosen"), [(["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1")])
def test_http_1_1_is_chosen(client: ProxyClient, offered: list[str], chosen: str) -> None:
    context = client.trust()
    context.set_alpn_protocols(offered)
    with Inside(client.reach(f"{ONE}:443"), context, ONE) as inside:
        assert inside.tls.selected_alpn_protocol() == chosen


def test_http_2_alone_is_refused(house: House, client: ProxyClient) -> None:
    before = len(house.daemon.log)
    context = client.trust()
    context.set_alpn_protocols(["h2"])
    with client.reach(f"{ONE}:443") as connection, pytest.raises(ssl.SSLError) as refused:
        Inside(connection, context, ONE)
    assert "no application protocol" in str(refused.value)
    house.daemon.wait_for_log(f"CONNECT {ONE}:443 from 127.0.0.1: HTTP/1.1 is not offered in TLS", after=before)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(client: ProxyClient, version: ssl.TLSVersion) -> None:
    context = client.trust()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = version
    with client.reach(f"{ONE}:443") as connection, pytest.raises((ssl.SSLError, ConnectionResetError)):
        Inside(connection, context, ONE)


def test_who_does_not_trust_the_ca_is_told_of(house: House, client: ProxyClient) -> None:
    before = len(house.daemon.log)
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with client.reach(f"{ONE}:443") as connection, pytest.raises(ssl.SSLCertVerificationError):
        Inside(connection, nobody, ONE)
    told = rf"CONNECT {ONE}:443 from 127\.0\.0\.1: the TLS handshake failed: .*unknown ca"
    house.daemon.wait_for_log(f"(?i){told.replace(' ca', '[_ ]ca')}", after=before)


@pytest.mark.parametrize(
    "words", [b"GET / HTTP/1.1\r\nHost: x.test\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 50, b"\x16\x02\x01\0\1\0"]
)
def test_what_is_not_tls_ends_and_is_told_of(house: House, client: ProxyClient, words: bytes) -> None:
    before = len(house.daemon.log)
    with client.reach(f"{ONE}:443") as connection:
        connection.sendall(words)
        received = rest(connection)
    assert received.startswith(b"HTTP/1.1 400 ") == words.startswith(b"GET")
    told = f"CONNECT {ONE}:443 from 127.0.0.1: this is something else than TLS"
    house.daemon.wait_for_log(re.escape(told), after=before)


@pytest.mark.security("S31")
def test_a_name_has_one_certificate_however_often_it_is_asked_for(house: House, client: ProxyClient) -> None:
    shown: dict[str, set[object]] = {ONE: set(), OTHER: set()}
    before = house.daemon.rss_bytes()
    for number in range(500):
        name = (ONE, OTHER)[number % 2]
        with client.inside(name) as inside:
            certificate = inside.tls.getpeercert()
            assert certificate is not None
            shown[name].add(certificate["serialNumber"])
    # Each worker has its own.
    assert all(1 <= len(serials) <= house.daemon.workers for serials in shown.values())
    assert house.daemon.rss_bytes() - before < 32 * 1024 * 1024


@pytest.mark.security("S31")
def test_names_that_are_nobodys_leave_nothing(house: House, client: ProxyClient) -> None:
    for number in range(50):
        assert client.ask(f"x{number}.example.com:443").status == 403
    before, descriptors = house.daemon.rss_bytes(), house.daemon.descriptors()
    with client.open() as connection:
        for number in range(1000):
            connection.sendall(connect(f"a{number}.example.net:443"))
            assert read_answer(connection).status == 403
    for number in range(1000):
        assert client.ask(f"b{number}.example.net:443").status == 403
    assert house.daemon.rss_bytes() - before < 8 * 1024 * 1024
    assert house.daemon.descriptors() <= descriptors + 8


# Who it is, what he may, and how often


@pytest.mark.security("S31", "S25")
def test_the_audit_log_has_the_clients_address_and_who_it_is(start: Callable[[str], House]) -> None:
    house = start('[clients]\nhtpasswd = "htpasswd"\n')
    for kind, source in (("clear", "127.0.0.3"), ("tls", "127.0.0.4")):
        with house.client(kind).inside(ONE, basic("alice", PASSWORD), source=source) as inside:
            assert get(inside, PATH).status == 200
            assert get(inside, PATH, basic("bob", PASSWORD)).status == 200
        line = rf'{source} - alice \[.*\] "GET {PATH} HTTP/1.1" 200 20 .* site=registry host={ONE}'
        house.daemon.wait_for_log(rf"(?s){line}.*{line}")
    assert "YWxpY2U6" not in house.daemon.log
    assert PASSWORD not in house.daemon.log


@pytest.mark.security("S31", "S23")
def test_who_does_not_log_in_gets_nowhere(start: Callable[[str], House]) -> None:
    house = start('[clients]\nhtpasswd = "htpasswd"\n')
    token = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    wrong = [
        (),
        (basic("alice", "wrong"),),
        (basic("nobody", PASSWORD),),
        (basic("", ""),),
        ("Proxy-Authorization: Basic",),
        ("Proxy-Authorization: Basic ====",),
        ("Proxy-Authorization: Bearer x",),
        (f"Proxy-Authorization: Digest {token}",),
        (f"Authorization: Basic {token}",),
        ("Proxy-Authorization: Basic \xff\xfe",),
        ("Proxy-Authorization: " + "x" * 10_000,),
    ]
    for kind in ("clear", "tls"):
        for fields in wrong:
            for target in (f"{ONE}:443", "elsewhere.example.com:443"):
                answered = house.client(kind).ask(target, *fields)
                assert answered.status == 407, (fields, answered)
                assert answered.headers["Proxy-Authenticate"] == 'Basic realm="crproxy", charset="UTF-8"'
        assert house.client(kind).ask(f"{ONE}:443", basic("alice", PASSWORD)).status == 200
    house.daemon.assert_calm()


@pytest.mark.security("S31", "S23")
@pytest.mark.parametrize("was_open", [True, False])
def test_who_is_let_in_no_more_goes_on_no_more(start: Callable[[str], House], was_open: bool) -> None:
    """Neither who has logged in as somebody that is taken out, nor who had not to log in before."""
    users = '[clients]\nhtpasswd = "htpasswd"\n'
    house = start("" if was_open else users)
    fields = () if was_open else (basic("bob", PASSWORD),)
    with house.clear.inside(ONE, *fields) as inside, house.secured.inside(ONE, basic("alice", PASSWORD)) as other:
        assert (get(inside, PATH).status, get(other, PATH).status) == (200, 200)
        (house.daemon.file.parent / "htpasswd").write_text(f"alice:{HASHED}\n")
        config = house.daemon.file.read_text()
        before = len(house.daemon.log)
        house.daemon.reload(config + users if was_open else config)
        assert inside.rest() == b""
        # The other worker may have more to do.
        house.daemon.wait_for_log("the configuration was read again", after=before)
        if not was_open:
            assert get(other, PATH).status == 200
    assert house.clear.ask(f"{ONE}:443", *fields).status == 407
    assert house.clear.ask(f"{ONE}:443", basic("alice", PASSWORD)).status == 200


@pytest.mark.security("S31", "S23")
def test_who_tries_passwords_is_held_back_and_somebody_else_logs_in(start: Callable[[str], House]) -> None:
    client = start('[clients]\nhtpasswd = "htpasswd"\n').clear
    over, answered = threading.Event(), []

    def attack(number: int) -> None:
        tried = 0
        with suppress(OSError, EOFError), client.open("127.0.0.3") as connection:
            while not over.is_set():
                tried += 1
                connection.sendall(connect(f"{ONE}:443", basic("alice", f"{number}-{tried}")))
                answered.append(read_answer(connection))

    attackers = [threading.Thread(target=attack, args=(number,)) for number in range(64)]
    for attacker in attackers:
        attacker.start()
    try:
        while 429 not in {each.status for each in answered}:
            assert any(attacker.is_alive() for attacker in attackers)
            over.wait(0.01)
        with client.inside(ONE, basic("alice", PASSWORD), source="127.0.0.4") as inside:
            assert get(inside, PATH).body == BODY
    finally:
        over.set()
        for attacker in attackers:
            attacker.join()
    assert {each.status for each in answered} == {407, 429}
    assert all(int(each.headers["Retry-After"]) > 0 for each in answered if each.status == 429)


@pytest.mark.security("S31", "S1")
def test_access_lists_count_for_connect_and_inside(start: Callable[[str], House]) -> None:
    house = start(
        f'[access]\nregistries = ["{ONE}"]\ndeny = ["{ONE}/secret/*"]\nmessage = "ask alice"\n'
        '[clients]\nprivileged = ["127.0.0.5"]\n'
    )
    for kind in ("clear", "tls"):
        client = house.client(kind)
        refused = client.ask(f"{OTHER}:443")
        assert (refused.status, refused.headers["Content-Type"]) == (403, "text/plain; charset=utf-8")
        served = f"this proxy does not serve {OTHER}; the registries that it serves: {ONE}; ask alice"
        assert refused.body.decode().strip() == refused.phrase == served
        with client.inside(ONE) as inside:
            denied = get(inside, "/v2/secret/app/manifests/v1")
            assert (denied.status, b"ask alice" in denied.body) == (403, True)
            assert get(inside, PATH).status == 200
        with client.inside(OTHER, source="127.0.0.5") as inside:
            assert get(inside, PATH, host=OTHER).status == 200


@pytest.mark.security("S31", "S20")
def test_requests_are_counted_inside_for_their_client(start: Callable[[str], House]) -> None:
    house = start('[limits]\nrequests_per_client = "6/h"\n')
    for kind in ("clear", "tls"):
        for number in range(3):
            with house.client(kind).inside(ONE, source="127.0.0.3") as inside:
                if kind == "clear":
                    assert [get(inside, PATH).status for _ in range(2)] == [200, 200], number
                else:
                    answered = get(inside, PATH)
                    assert (answered.status, b"no more requests than" in answered.body) == (429, True)
    with house.clear.inside(ONE, source="127.0.0.4") as inside:
        assert get(inside, PATH).status == 200


@pytest.mark.security("S31", "S20")
def test_connections_are_counted_for_their_client_also_while_they_say_nothing(start: Callable[[str], House]) -> None:
    house = start("[limits]\nconnections_per_client = 4\n")
    client = house.clear
    held = [client.reach(f"{ONE}:443", source="127.0.0.3") for _ in range(4)]
    try:
        refused = client.say(connect(f"{ONE}:443"), source="127.0.0.3")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
        assert b"you have too many connections to this proxy; try again in 5 s, on fewer" in refused.body
        with client.inside(ONE, source="127.0.0.4") as inside:
            assert get(inside, PATH).body == BODY
    finally:
        for connection in held:
            connection.close()


@pytest.mark.security("S31", "S20")
@pytest.mark.parametrize("kind", ["clear", "tls"])
def test_a_client_that_takes_nothing_of_an_answer_is_cut_off(
    start: Callable[[str], House], fake: FakeUpstream, kind: str
) -> None:
    house = start('[timeouts]\nwrite = "2s"\n')
    large = Filler(96 * MEBIBYTE, seed=31)
    fake.script(f"/v2/team/app/blobs/{large.digest}", content(large))
    asked = f"GET /v2/team/app/blobs/{large.digest} HTTP/1.1\r\nHost: {ONE}\r\n\r\n".encode()
    connection = house.client(kind).reach(f"{ONE}:443", receive_buffer=4096)
    with Inside(connection, house.clear.trust(), ONE) as inside:
        before = house.daemon.rss_bytes()
        inside.sendall(asked)
        house.daemon.wait_for_log("takes nothing: cut off")
        assert house.daemon.rss_bytes() - before < 48 * MEBIBYTE
        assert len(inside.rest()) < 64 * MEBIBYTE


@pytest.mark.parametrize("kind", ["clear", "tls"])
def test_what_is_asked_inside_is_answered_when_the_daemon_stops_and_the_rest_is_closed(
    start: Callable[[str], House], fake: FakeUpstream, gate: Gate, kind: str
) -> None:
    house = start("")
    body = Filler(MEBIBYTE, seed=32)
    fake.script(f"/v2/team/app/blobs/{body.digest}", replace(content(body), fault=Stall(gate, 1000)))
    asked = f"GET /v2/team/app/blobs/{body.digest} HTTP/1.1\r\nHost: {ONE}\r\n\r\n".encode()
    client = house.client(kind)
    with client.inside(ONE) as idle, client.inside(ONE) as busy:
        assert get(idle, PATH).status == 200
        busy.sendall(asked)
        fake.seen.wait_for_request(body.digest)
        seen = len(house.daemon.log)
        house.daemon.signal(signal.SIGTERM)
        house.daemon.wait_for_log("stopping: [12] connections", after=seen)
        assert idle.rest() == b""
        gate.open()
        answered = read_answer(busy)  # type: ignore[arg-type]  # it has what is needed
        assert (answered.status, len(answered.body)) == (200, MEBIBYTE)
        assert busy.rest() == b""
    house.daemon.wait(15)
