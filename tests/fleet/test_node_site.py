"""Over real sockets and real TLS."""

from __future__ import annotations

from typing import Any

import pytest

from crproxy.fleet.asking_nodes import AskingNodes
from crproxy.upstream.agent import send
from crproxy.upstream.relay import collect
from tests.fleet.nodes import KEPT, OF_KEPT, REACTOR, SIZE, Node
from tests.reactor import on_the_reactor


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "expected"),
    [
        ("HEAD", f"/v1/blobs/{OF_KEPT.entry.digest}", {}, 200, b""),
        ("GET", f"/v1/blobs/{OF_KEPT.entry.digest}", {}, 200, KEPT),
        ("GET", f"/v1/blobs/{OF_KEPT.entry.digest}", {"Range": ["bytes=1-2"]}, 206, KEPT[1:3]),
        ("GET", f"/v1/blobs/{OF_KEPT.entry.digest}", {"Range": ["bytes=-2"]}, 200, KEPT),
        ("GET", f"/v1/blobs/{OF_KEPT.entry.digest}", {"Range": ["bytes=0-0,2-2"]}, 200, KEPT),
        ("GET", f"/v1/blobs/{OF_KEPT.entry.digest}", {"Range": ["lines=1"]}, 200, KEPT),
        ("GET", f"/v1/blobs/{OF_KEPT.entry.digest}?pool=quay.io", {}, 404, b""),
        ("GET", f"/v1/blobs/{OF_KEPT.entry.digest}?pool=%00", {}, 400, None),
        ("GET", f"/v1/blobs/{OF_KEPT.entry.digest}/more", {}, 404, None),
        ("GET", "/v1/blobs/latest", {}, 400, None),
        ("GET", "/v1/blobs/..%2f..%2fetc", {}, 400, None),
        ("GET", "/v1/blobs", {}, 405, None),
        ("GET", "/v1/blobs/", {}, 400, None),
        ("POST", f"/v1/blobs/{OF_KEPT.entry.digest}", {}, 405, None),
        ("DELETE", f"/v1/blobs/{OF_KEPT.entry.digest}", {}, 405, None),
        ("HEAD", "/v1/node", {}, 200, b""),
        ("POST", "/v1/node", {}, 405, None),
        ("GET", "/v2/", {}, 404, None),
        ("GET", "/", {}, 404, None),
        ("GET", "/" + "x" * 20_000, {}, 400, None),
        ("GET", "/v1/node", {"X": ["y" * 20_000]}, 400, None),
    ],
)
@on_the_reactor
async def test_what_is_asked_otherwise(
    node: Node, asks: AskingNodes, method: str, path: str, headers: dict[str, list[str]], status: int, expected: Any
) -> None:
    response = await send(asks._http, method, f"{node.url}{path}", headers, 10, REACTOR)
    content = await collect(response, SIZE, 10, REACTOR)
    assert response.code == status
    if expected is not None:
        assert content == expected
    assert node.source.asked == []
