"""The audit log of the real daemon: a line for each request, in a file that can be rotated, and no secret anywhere."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import pytest

from tests.parts.admin_socket import tell
from tests.parts.answers import Answer, Cut, Filler, Gate, Request, Script, Stall
from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST
from tests.parts.issuing import DOMAIN, IssuingDaemon
from tests.parts.pebble import Pebble
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.ports import reserve_port
from tests.parts.raw_http import Reply, ask, asking, exchange
from tests.parts.secure_http import SecureConnection
from tests.parts.shapes import challenge, content, error, manifest, redirect, token
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MANIFEST = b'{"schemaVersion": 2}'
LAYER = b"0123456789"
TAG = manifest_place("v1")


class Audited:
    """A daemon with an audit log of its own.

    Arguments:
        domain: its own.
        options: further ones of the daemon.
    """

    def __init__(
        self,
        directory: Path,
        upstreams: dict[str, Upstream],
        style: str = "json",
        domain: str | None = None,
        **options: Any,
    ) -> None:
        self.file = directory / "audit.log"
        config = configuration(upstreams) if domain is None else configuration(upstreams, domain=domain)
        self.config = "\n".join([config, "[audit]", f'file = "{self.file}"', f'format = "{style}"', ""])
        self.daemon = Daemon(directory, self.config, **options)
        # A SIGHUP before all services run would end it. An answer tells; to what is not HTTP, it is no request's.
        with socket.create_connection(self.daemon.address) as connection:
            connection.sendall(b"\x16")
            assert connection.recv(1)

    def __enter__(self) -> Audited:
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()

    def lines(self, count: int, file: Path | None = None) -> list[str]:
        """Wait until there are so many lines, and return them."""
        path = file or self.file

        def read() -> list[str]:
            return path.read_text().splitlines() if path.exists() else []

        until(lambda: len(read()) >= count, found=read)
        lines = read()
        assert len(lines) == count, lines
        return lines

    def records(self, count: int) -> list[dict[str, Any]]:
        """Those of so many lines, in the order in which the requests came: each worker writes down its own."""
        return sorted((json.loads(line) for line in self.lines(count)), key=lambda record: str(record["time"]))

    def record(self) -> dict[str, Any]:
        return self.records(1)[0]


@pytest.fixture
def audited(tmp_path: Path, fake: FakeUpstream) -> Iterator[Audited]:
    with Audited(tmp_path, {REGISTRY: Upstream(fake.url)}) as audited:
        yield audited


def test_a_pull_has_a_line_for_each_of_its_requests(audited: Audited, fake: FakeUpstream) -> None:
    fake.script(TAG.path, manifest(MANIFEST, OCI_MANIFEST))
    layer = blob(LAYER)
    fake.script(layer.path, content(LAYER))
    for target in ("/v2/", TAG.through, layer.through, layer.through):
        assert ask(audited.daemon.address, "GET", target, ("User-Agent", "docker/27")).status == 200
    order = ("/v2/", TAG.through, layer.through)
    # Two of one millisecond, by two workers, are in any order; the one that was stored came before it was a hit.
    ping, tag, stored, hit = sorted(
        audited.records(4), key=lambda record: (order.index(record["path"]), record["cache"] != "stored")
    )
    assert (ping["path"], ping["registry"], ping["cache"]) == ("/v2/", None, None)
    assert (tag["registry"], tag["repository"], tag["reference"], tag["bytes"]) == (REGISTRY, "team/app", "v1", 20)
    assert (stored["cache"], stored["bytes"], hit["bytes"]) == ("stored", 10, 10)
    # The last byte may be here a moment before the blob is in the store.
    assert hit["cache"] in ("hit", "collapsed")
    assert {record["client"] for record in (ping, tag, stored, hit)} == {"127.0.0.1"}
    assert {record["agent"] for record in (ping, tag, stored, hit)} == {"docker/27"}
    assert hit["reference"] == layer.path.rpartition("/")[2]
    assert "GET /v2/" not in audited.daemon.log


def test_who_leaves_in_mid_body_has_a_line(audited: Audited, fake: FakeUpstream, gate: Gate) -> None:
    large = Filler(64 << 20)
    place = blob(large)
    fake.script(place.path, content(large, fault=Stall(gate, 1 << 20)))
    with exchange(audited.daemon.address, "GET", place.through) as response:
        response.read(1000)
    record = audited.record()
    assert (record["status"], record["ending"], record["reference"]) == (200, "left", large.digest)
    assert 0 < record["bytes"] <= 1 << 20


def by_tls(daemon: Daemon, target: str, authority: Authority) -> Reply:
    daemon.wait_for_log(r"proxy\.pem is used")
    with SecureConnection(daemon.tls_port, DOMAIN, authority.file) as connection:
        return connection.get(target)


def by_http(daemon: Daemon, target: str, _: Authority) -> Reply:
    return ask(daemon.address, "GET", target, ("Host", DOMAIN))


@pytest.mark.parametrize("secure", [False, True])
def test_what_is_cut_by_us_has_a_line(tmp_path: Path, fake: FakeUpstream, secure: bool) -> None:
    layer = blob(LAYER)
    fake.script(layer.path, content(b"012345678x"))
    authority = Authority(tmp_path)
    upstreams = {REGISTRY: Upstream(fake.url)}
    with Audited(tmp_path, upstreams, domain=DOMAIN, certificate=authority.issue(DOMAIN)) as audited:
        get = by_tls if secure else by_http
        with pytest.raises((OSError, HTTPException)):
            get(audited.daemon, layer.through, authority)
        record = audited.record()
        assert (record["status"], record["bytes"], record["ending"]) == (200, 9, "cut")
        assert "its content is another" in audited.daemon.log or "aborted" in audited.daemon.log


def test_every_site_has_lines(tmp_path: Path) -> None:
    with Audited(tmp_path, {}, "combined") as audited:
        assert ask(audited.daemon.address, "GET", "/").status == 200
        assert ask(audited.daemon.address, "GET", "/favicon.ico").status == 404
        assert tell(audited.daemon.data_dir / "admin.sock", "GET", "/aliases").status == 200
        # Each worker writes down its own.
        lines = audited.lines(3)
        page, icon, admin = sorted(lines, key=lambda line: ("site=admin" in line, "favicon" in line))
        assert '"GET / HTTP/1.1" 200 ' in page
        assert '"GET /favicon.ico HTTP/1.1" 404 ' in icon
        assert admin.startswith("- - - [")
        assert "site=admin" in admin


def test_a_plain_endpoint_has_lines_for_its_redirects(tmp_path: Path) -> None:
    listen = ["--domain", DOMAIN, "--http", "tcp:0:interface=127.0.0.1", "--https", "tcp:0:interface=127.0.0.1"]
    with Audited(tmp_path, {}, listen=[*listen, "--acme-directory", "none"]) as audited:
        assert ask(audited.daemon.address, "GET", "/v2/?token=hunter2", ("Host", DOMAIN)).status == 308
        assert ask(audited.daemon.address, "GET", "/", ("Host", "elsewhere.test")).status == 421
        redirected, misdirected = audited.records(2)
        assert (redirected["site"], redirected["status"], redirected["path"]) == ("plain", 308, "/v2/?token=***")
        assert (misdirected["site"], misdirected["status"], misdirected["host"]) == ("plain", 421, "elsewhere.test")


def test_it_can_be_rotated(audited: Audited) -> None:
    ask(audited.daemon.address, "GET", "/v2/")
    audited.lines(1)
    assert stat.S_IMODE(audited.file.stat().st_mode) == 0o640
    moved = audited.file.rename(audited.file.with_suffix(".1"))
    ask(audited.daemon.address, "GET", "/before")
    audited.lines(2, moved)
    audited.daemon.reload(audited.config + "\nnonsense")
    audited.daemon.wait_for_log("was not read again")
    ask(audited.daemon.address, "GET", "/after")
    (line,) = audited.lines(1)
    assert json.loads(line)["path"] == "/after"
    assert len(moved.read_text().splitlines()) == 2


def test_what_waits_is_written_at_the_end(tmp_path: Path, fake: FakeUpstream, gate: Gate) -> None:
    """A connection that the end cuts has its line, too."""
    large = Filler(1 << 20)
    place = blob(large)
    fake.script(place.path, content(large, fault=Stall(gate, 1000)))
    with Audited(tmp_path, {REGISTRY: Upstream(fake.url)}) as audited:
        ask(audited.daemon.address, "GET", "/v2/")
        with asking(audited.daemon.address, "GET", place.through) as connection:
            assert connection.recv(10)
            audited.daemon.stop()
    assert [record["status"] for record in audited.records(2)] == [200, 200]
    assert audited.records(2)[1]["ending"] in ("cut", "left")


def test_a_disk_that_is_full_costs_lines_and_no_request(tmp_path: Path) -> None:
    with Audited(tmp_path, {}) as audited:
        audited.daemon.reload(audited.config.replace(str(audited.file), "/dev/full"))
        audited.daemon.wait_for_log("the configuration was read again")
        for _ in range(3):
            assert ask(audited.daemon.address, "GET", "/v2/").status == 200
        audited.daemon.wait_for_log("lines cannot be added to /dev/full: .*No space left on device")
        assert ask(audited.daemon.address, "GET", "/v2/").status == 200
        assert audited.daemon.log.count("lines cannot be added") <= Daemon.workers


# S26


SECRET = "hunter2"
USER, PASSWORD, PROXY_PASSWORD, TOKEN = "puller", f"{SECRET}-Password", f"{SECRET}-Proxy", f"{SECRET}.T0ken"
BEHIND = "behind.example.org"


def hidden() -> list[str]:
    """Every form in which a secret of these tests goes over a wire."""
    pairs = [f"{USER}:{PASSWORD}", f"{USER}:{PROXY_PASSWORD}", f"client:{SECRET}"]
    return [SECRET, *(base64.b64encode(pair.encode()).decode() for pair in pairs)]


def echo(status: int) -> Script:
    """An answer that repeats all that it was asked with, as some do."""

    def answer(request: Request) -> Answer:
        return error(status, "DENIED", f"{request.method} {request.target} with {'; '.join(request.lines)}")

    return answer


class Leaky:
    """A registry with a login, its token service and its CDN, which repeat what they are told."""

    def __init__(self, registry: FakeUpstream, elsewhere: FakeUpstream) -> None:
        self.registry = registry
        self.elsewhere = elsewhere
        self.upstream = Upstream(registry.url, USER, PASSWORD)

    def serve(self, name: str, *then: Script, status: Script | None = None) -> Place:
        """Serve a blob to whoever has a token; return where."""
        place = blob(name.encode(), f"team/{name}")
        realm = f"{self.registry.url}/token/{name}?account={SECRET}"
        self.registry.script(f"/token/{name}", status or token(TOKEN))
        self.registry.script(place.path, challenge(realm, "s", f"repository:team/{name}:pull"), *then)
        return place

    def signed(self, name: str, answer: Script) -> Script:
        """A redirect to a signed URL, at which there is ``answer``."""
        self.elsewhere.script(f"/{name}", answer)
        return redirect(f"{self.elsewhere.url}/{name}?X-Amz-Signature={SECRET}&x=1")

    def places(self) -> dict[Place, int | None]:
        """Everything that may happen, and what comes of it; None is an answer that is cut."""
        nobody = f"http://127.0.0.1:{reserve_port()}/x?sig={SECRET}"
        return {
            self.serve("good", self.signed("good", content(b"good"))): 200,
            self.serve("cut", self.signed("cut", content(b"cut", fault=Cut(2)))): None,
            self.serve("echo401", echo(401)): 403,
            self.serve("echo404", echo(404)): 404,
            self.serve("echo500", echo(500)): 503,
            self.serve("echo400", echo(400)): 400,
            self.serve("cdn403", self.signed("cdn403", echo(403))): 503,
            self.serve("cdn500", self.signed("cdn500", echo(500))): 503,
            self.serve("nobody", redirect(nobody)): 503,
            self.serve("userinfo", redirect(f"http://me:{SECRET}@127.0.0.1/")): 403,
            self.serve("scheme", redirect(f"ftp://127.0.0.1/?sig={SECRET}")): 403,
            self.serve("metadata", redirect(f"http://169.254.169.254/?sig={SECRET}")): 403,
            self.serve("login", status=echo(401)): 403,
            self.serve("broken", status=echo(500)): 503,
            self.serve("nothing", status=Answer(body=f'{{"secret": "{SECRET}"}}'.encode())): 503,
        }


def ask_in_every_way(audited: Audited) -> int:
    """Ask with secrets wherever a client may put them; return how often."""
    address = audited.daemon.address
    targets = [
        f"/v2/?token={SECRET}",
        f"/?_state={SECRET}&password={SECRET}",
        f"/v2/{SECRET}:{SECRET}@quay.io/a/manifests/v1",
        f"/v2/a/tags/list?ns=me:{SECRET}@quay.io",
        f"/v2/a/tags/list?n=me:{SECRET}@x",
        f"/v2/password={SECRET}/tags/list",
        f"http://me:{SECRET}@127.0.0.1/v2/",
        f"/favicon.ico?sig={SECRET}",
    ]
    fields = [
        ("Authorization", "Basic " + base64.b64encode(f"client:{SECRET}".encode()).decode()),
        ("Cookie", f"session={SECRET}"),
        ("User-Agent", f"curl/8 (http://me:{SECRET}@host/)"),
        ("Referer", f"https://page.test/?token={SECRET}"),
    ]
    for target in targets:
        for method in ("GET", "HEAD", "POST"):
            ask(address, method, target, *fields)
    return 3 * len(targets)


def pull(audited: Audited, place: Place, status: int | None) -> None:
    bearer = ("Authorization", f"Bearer {TOKEN}")
    if status is None:
        with pytest.raises((OSError, HTTPException)):
            ask(audited.daemon.address, "GET", place.through, bearer)
        return
    reply = ask(audited.daemon.address, "GET", place.through, bearer)
    assert reply.status == status, (place, reply)
    assert not any(secret in reply.body.decode() for secret in hidden()), reply


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        assert text
        found = [line for line in text.splitlines() if any(secret in line for secret in hidden())]
        assert found == []


@pytest.mark.parametrize("style", ["json", "combined", None])
def test_s26_no_secret_is_in_any_log(tmp_path: Path, fake: FakeUpstream, style: str | None) -> None:
    with FakeUpstream() as elsewhere, FakeUpstream() as proxy:
        leaky = Leaky(fake, elsewhere)
        through = Upstream(
            "http://10.1.2.3:5000", USER, PASSWORD, proxy=f"http://{USER}:{PROXY_PASSWORD}@{proxy.authority}"
        )
        behind = {
            blob(name.encode(), registry=BEHIND): (status, script)
            for name, status, script in (
                ("seen", 200, content(b"seen")),
                ("no", 503, echo(407)),
                ("down", 503, echo(502)),
            )
        }
        with Audited(tmp_path, {REGISTRY: leaky.upstream, BEHIND: through}, style or "json") as audited:
            if style is None:
                audited.daemon.reload(audited.config.partition("[audit]")[0])
                audited.daemon.wait_for_log("the configuration was read again")
            count = ask_in_every_way(audited)
            for place, status in leaky.places().items():
                pull(audited, place, status)
                count += 1
            for place, (expected, script) in behind.items():
                proxy.script(place.path, script)
                pull(audited, place, expected)
                count += 1
            if style is not None:
                audited.lines(count)
            for mistake in (
                f'password = ["{SECRET}"]',
                f'endpoint = "http://me:{SECRET}@host/?x"',
                f'proxy = "x:{SECRET}@"',
            ):
                before = len(audited.daemon.log)
                audited.daemon.reload(f'[upstreams."x.example"]\n{mistake}\n')
                audited.daemon.wait_for_log("was not read again", after=before)
    assert_no_secret(audited.daemon.log)
    if style is None:
        assert audited.daemon.log.count("[crproxy.audit#info]") == count
    else:
        assert_no_secret(audited.file.read_text())


@pytest.mark.parametrize("known", [True, False])
def test_s26_no_key_of_an_external_account_is_in_any_log(tmp_path_factory: pytest.TempPathFactory, known: bool) -> None:
    directory = tmp_path_factory.mktemp("daemon")
    key = base64.urlsafe_b64encode(os.urandom(48)).decode()
    (directory / "hmac").write_text(key)
    accounts = {"kid-1": key if known else base64.urlsafe_b64encode(os.urandom(48)).decode()}
    acme = {"eab_key_id": "kid-1", "eab_hmac_file": str(directory / "hmac")}
    with (
        Pebble(tmp_path_factory.mktemp("pebble"), external_accounts=accounts) as pebble,
        IssuingDaemon(directory, pebble, aliases={}, acme=acme) as daemon,
    ):
        if known:
            daemon.wait_until_certified([DOMAIN])
        else:
            daemon.wait_for_log("has no new certificate: ")
        assert daemon.tell("GET", "/certificates")
    assert key not in daemon.log
