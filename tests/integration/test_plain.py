"""Plain HTTP where there is TLS: everybody is sent to https, and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, configuration
from tests.parts.ports import reserve_port
from tests.parts.raw_http import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.raw_http import Address, Reply

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

DOMAIN = "cr.test"


@dataclass(frozen=True, slots=True)
class Plain:
    """The plain endpoint of a daemon that speaks TLS on another."""

    address: Address
    tls_port: int

    def ask(self, host: str, target: str = "/v2/", method: str = "GET", *fields: tuple[str, str]) -> Reply:
        return ask(self.address, method, target, ("Host", host), ("Content-Length", "0"), *fields)

    def https(self, target: str, name: str = DOMAIN) -> str:
        return f"https://{name}:{self.tls_port}{target}"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, workers: int) -> Iterator[Plain]:
    certs = tmp_path_factory.mktemp("certs")
    issued = Authority(tmp_path_factory.mktemp("authority")).issue(f"*.{DOMAIN}", DOMAIN)
    (certs / "proxy.pem").write_bytes(issued.key.read_bytes() + issued.chain.read_bytes())
    port = reserve_port()
    listen = ["--http", "tcp:0:interface=127.0.0.1", "--https", f"tcp:{port}:interface=127.0.0.1"]
    options = [*listen, "--certs", str(certs), "--acme-directory", "none"]
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration({}, domain=DOMAIN), listen=options) as daemon:
        yield Plain(daemon.address, port)


@pytest.mark.parametrize(
    "target", ["/", "/v2/", "/v2/x", "/v2/team/app/tags/list?n=1&last=a%2Fb%20c", "/?", "//e.test"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_everything_has_its_place_by_https(plain: Plain, method: str, target: str) -> None:
    answer = plain.ask(DOMAIN, target, method)
    assert (answer.status, answer.headers["Location"]) == (308, plain.https(target))
    assert answer.body == b""


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (f"{DOMAIN}:80", DOMAIN),
        ("CR.Test", DOMAIN),
        (f"{DOMAIN}.", DOMAIN),
        (f"{DOMAIN}.:8080", DOMAIN),
        (f"quay.{DOMAIN}", f"quay.{DOMAIN}"),
        (f"K8S-gcr.{DOMAIN}:80", f"k8s-gcr.{DOMAIN}"),
    ],
)
def test_a_host_is_ours_in_any_spelling(plain: Plain, host: str, name: str) -> None:
    answer = plain.ask(host)
    assert (answer.status, answer.headers["Location"]) == (308, plain.https("/v2/", name))


@pytest.mark.security("S14")
@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        f"nope.{DOMAIN}",
        f"{DOMAIN}.example.com",
        "[::1]",
        "[::1]:80",
        "127.0.0.1",
        f"[{DOMAIN}]",
        f"{DOMAIN}@example.com",
        f"example.com#{DOMAIN}",
        f"example.com/{DOMAIN}",
        f"{DOMAIN}/example.com",
        f"{DOMAIN} example.com",
        f"{DOMAIN}\texample.com",
        f"{DOMAIN}%0d%0aX:1",
    ],
)
def test_another_host_is_sent_nowhere(plain: Plain, host: str) -> None:
    answer = plain.ask(host)
    assert answer.status in (400, 421)
    assert "Location" not in answer.headers


@pytest.mark.parametrize("host", [f"nope.{DOMAIN}", "example.com"])
@pytest.mark.parametrize("accept", [(), (("Accept", "application/json"),)], ids=["no-accept", "json"])
@pytest.mark.parametrize("target", ["/v2/team/app/manifests/v1", "/v2/quay.io/team/app/manifests/v1"])
def test_an_unknown_alias_is_refused_in_the_form_of_every_other_error(
    plain: Plain, host: str, accept: tuple[tuple[str, str], ...], target: str
) -> None:
    answer = plain.ask(host, target, "GET", *accept)
    assert (answer.status, answer.code) == (421, "DENIED")
    assert answer.headers.get_content_type() == "application/json"
    assert host.removesuffix(f".{DOMAIN}") in answer.message
    page = plain.ask(host, "/", "GET", *accept)
    assert (page.status, page.headers.get_content_type()) == (421, "text/html")
    assert f"(request {page.headers['X-Request-Id']})" in page.body.decode()


@pytest.mark.parametrize(
    "port", ["", "x", "@example.com", "80@example.com", "x@example.com:80", "80:80", "//example.com"]
)
def test_an_odd_port_leads_to_the_name_before_it(plain: Plain, port: str) -> None:
    answer = plain.ask(f"{DOMAIN}:{port}")
    assert (answer.status, answer.headers["Location"]) == (308, plain.https("/v2/"))


@pytest.mark.security("S14")
@pytest.mark.parametrize(
    "target", [".example.com/", "@example.com/", "example.com", "*", "\\example.com", "http://example.com/v2/"]
)
def test_a_target_that_is_no_path_cannot_change_the_host(plain: Plain, target: str) -> None:
    answer = plain.ask(DOMAIN, target)
    assert answer.status in (400, 405)
    assert "Location" not in answer.headers


def test_a_challenge_that_is_not_open_is_not_found(plain: Plain) -> None:
    for host in (DOMAIN, "example.com"):
        answer = plain.ask(host, "/.well-known/acme-challenge/unknown")
        assert (answer.status, answer.headers["Location"]) == (404, None)


@pytest.mark.parametrize("token", ["", "a/b", "%00", "..%2F..", "%ff", "a" * 5000])
def test_odd_tokens_do_no_harm(plain: Plain, token: str) -> None:
    assert plain.ask(DOMAIN, f"/.well-known/acme-challenge/{token}").status in (404, 414)


def test_what_is_sent_to_is_there(plain: Plain) -> None:
    """The daemon's own log says where it listens; the redirect says the same."""
    location = plain.ask(DOMAIN).headers["Location"]
    assert re.fullmatch(rf"https://{re.escape(DOMAIN)}:{plain.tls_port}/v2/", location)
