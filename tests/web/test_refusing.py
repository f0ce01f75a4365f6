from __future__ import annotations

import json

import pytest

from crproxy.web.refusing import make_refusing_site
from tests.memory import Network
from tests.parts.request_ids import without_id
from tests.web.conftest import Browser


@pytest.mark.parametrize(("method", "target"), [("GET", "/v2/"), ("GET", "/"), ("POST", "/v2/a/blobs/uploads/")])
def test_s20_who_has_too_many_connections_is_told_so_and_hung_up_on(network: Network, method: str, target: str) -> None:
    browser = Browser(make_refusing_site(network.clock), network)
    received = browser.get(target, method=method)
    assert received.status == 429
    assert received.one("Retry-After") == "5"
    assert received.one("Connection") == "close"
    assert received.one("Content-Type") == "application/json"
    (error,) = json.loads(received.body)["errors"]
    assert error["code"] == "TOOMANYREQUESTS"
    assert "too many connections" in without_id(error["message"], received.one("X-Request-Id"))
    assert browser.wire.disconnecting


def test_a_head_has_no_body(network: Network) -> None:
    received = Browser(make_refusing_site(network.clock), network).head("/v2/")
    assert (received.status, received.body) == (429, b"")
