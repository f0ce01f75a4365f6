from __future__ import annotations

import json

import pytest
from twisted.web.server import Site

from crproxy.config import Config
from crproxy.web.plain import make_plain_site
from tests.memory import Network
from tests.parts.request_ids import without_id
from tests.web.conftest import NAMES, Browser, Received


def visit(
    network: Network, target: str, host: str | None = "cr.test", port: int = 443, method: str = "GET"
) -> Received:
    site = make_plain_site({"tok": "tok.thumb"}.get, None, lambda: Config(NAMES), port, network.clock)
    return Browser(site, network).get(target, host=host, method=method)


def test_a_ca_is_shown_what_it_looks_for_whatever_the_host(network: Network) -> None:
    for host in ("cr.test", "elsewhere.example"):
        received = visit(network, "/.well-known/acme-challenge/tok", host)
        assert (received.status, received.body) == (200, b"tok.thumb")


@pytest.mark.parametrize(
    "target", ["/.well-known/acme-challenge/other", "/.well-known/acme-challenge/", "/.well-known/x"]
)
def test_nothing_else_is_to_be_had_there(network: Network, target: str) -> None:
    assert visit(network, target).status == 404


@pytest.mark.parametrize(
    ("host", "port", "location"),
    [
        ("cr.test", 443, "https://cr.test/v2/a?n=1&x=%20"),
        ("cr.test:80", 443, "https://cr.test/v2/a?n=1&x=%20"),
        ("CR.test.", 8443, "https://cr.test:8443/v2/a?n=1&x=%20"),
        ("quay.cr.test", 443, "https://quay.cr.test/v2/a?n=1&x=%20"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_everything_else_is_by_https(network: Network, host: str, port: int, location: str, method: str) -> None:
    received = visit(network, "/v2/a?n=1&x=%20", host, port, method)
    assert (received.status, received.one("Location")) == (308, location)


@pytest.mark.security("S14")
@pytest.mark.parametrize("host", ["evil.example", "", "cr.test@evil.example", "\x80\xff", None])
def test_nobody_is_sent_where_a_host_header_says(network: Network, host: str | None) -> None:
    received = visit(network, "/v2/", host)
    assert received.status in (400, 421)
    assert received.one("Location") is None


@pytest.mark.parametrize("host", ["nope.cr.test", "elsewhere.example"])
@pytest.mark.parametrize("target", ["/v2", "/v2/", "/v2/a/manifests/v1?ns=x", "/token"])
def test_clients_of_the_registry_are_refused_in_its_form(network: Network, host: str, target: str) -> None:
    received = visit(network, target, host)
    assert (received.status, received.one("Content-Type")) == (421, "application/json")
    assert received.one("Docker-Distribution-Api-Version") == "registry/2.0"
    (error,) = json.loads(received.body)["errors"]
    assert error["code"] == "DENIED"
    assert host.partition(".")[0] in without_id(error["message"], received.one("X-Request-Id"))


@pytest.mark.parametrize("target", ["/", "/v20/", "/x/v2/", "/tokens"])
def test_people_are_refused_by_a_page(network: Network, target: str) -> None:
    received = visit(network, target, "nope.cr.test")
    assert (received.status, received.one("Content-Type")) == (421, "text/html; charset=utf-8")
    assert "Misdirected Request" in without_id(received.body.decode(), received.one("X-Request-Id"))


@pytest.mark.parametrize("host", ["nope.cr.test", "elsewhere.example", "cr.test.elsewhere.example"])
@pytest.mark.parametrize("accept", [(), ("Accept: application/json",), ("Accept: text/html",), ("Accept: */*",)])
@pytest.mark.parametrize(
    "target",
    [
        "/v2/a/manifests/v1",
        "/v2/quay.io/org/app/manifests/v1",
        f"/v2/quay.io/org/app/blobs/sha256:{'a' * 64}",
        "/v2/org/app/tags/list",
        "/v2/org/app/manifests/v1?ns=quay.io",
        "/token?scope=repository:org/app:pull",
        "/",
        "/convert?image=nginx",
        "/rewrite",
        "/ca.pem",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_unknown_alias_is_told_what_it_is_told_elsewhere(
    network: Network, site: Site, host: str, accept: tuple[str, ...], target: str, method: str
) -> None:
    plain = make_plain_site(lambda _: None, None, lambda: Config(NAMES), 443, network.clock)
    told = []
    for asked in (plain, site):
        received = Browser(asked, network).get(target, *accept, host=host, method=method)
        body = received.body.decode()
        if method == "GET":
            body = without_id(body, received.one("X-Request-Id"))
        told.append((received.status, received.one("Content-Type"), body))
    here, elsewhere = told
    assert here == elsewhere
    assert here[0] == 421


def test_images_can_be_served_in_the_clear_too(network: Network, site: Site) -> None:
    plain = make_plain_site(lambda _: None, site.resource, lambda: Config(NAMES), 443, network.clock)
    assert Browser(plain, network).get("/v2/").body == b"{}"
    assert Browser(plain, network).get("/").status == 200
    assert Browser(plain, network).get("/.well-known/acme-challenge/x").status == 404
