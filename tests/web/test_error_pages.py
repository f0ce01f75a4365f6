from __future__ import annotations

from twisted.web.resource import Resource
from twisted.web.server import Request

from crproxy.web.branch import Branch
from crproxy.web.error_pages import error_page
from crproxy.web.site import PlainSite
from tests.memory import Network
from tests.parts.request_ids import without_id
from tests.web.conftest import Browser, Received


class Wrong(Resource):
    """Answers everything with a page that says what is wrong."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        return error_page(request, 421, "<here> is nobody")


def words(received: Received) -> str:
    return without_id(received.body.decode(), received.one("X-Request-Id"))


def test_a_page_says_what_is_wrong_and_the_id_and_is_no_markup(network: Network) -> None:
    received = Browser(PlainSite(Wrong(), network.clock), network).get("/")
    assert received.status == 421
    assert received.one("Content-Type") == "text/html; charset=utf-8"
    assert "<h1>Misdirected Request</h1><p>&lt;here&gt; is nobody</p>" in words(received)


def test_what_is_not_there_is_said_so_whatever_the_method(network: Network) -> None:
    for method in ("GET", "POST", "X"):
        received = Browser(PlainSite(Branch(), network.clock), network).get("/x/y", method=method)
        assert received.status == 404
        assert "There is nothing here." in words(received)


def test_to_head_there_is_the_id_alone(network: Network) -> None:
    received = Browser(PlainSite(Branch(), network.clock), network).head("/x")
    assert (received.status, received.body) == (404, b"")
    assert received.one("X-Request-Id")


def test_what_cannot_be_done_is_a_page_too(network: Network) -> None:
    root = Branch()
    root.putChild(b"x", Branch())
    received = Browser(PlainSite(root, network.clock), network).get("/x", method="DELETE")
    assert received.status == 405
    assert "<h1>Method Not Allowed</h1><p>This cannot be done here.</p>" in words(received)
