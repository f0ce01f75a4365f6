"""The HTTP proxy of a fleet: one CA, whichever node a client asks, and whatever becomes of Valkey and the nodes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.daemon import Daemon, Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.fleets import Fleet, is_in_common
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, manifest_place
from tests.parts.proxy_client import ProxyClient
from tests.parts.shapes import manifest
from tests.parts.valkey import Valkey
from tests.parts.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

BODY = b'{"schemaVersion": 2, "layers": []}'
TAG = manifest_place("v1")
PROXY = '[proxy]\nlisten = ["tcp:0:interface=127.0.0.1"]'
ASK = f"GET {TAG.path} HTTP/1.1\r\nHost: {REGISTRY}\r\nAccept: {OCI_MANIFEST}\r\n\r\n".encode()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with Valkey() as valkey:
        yield valkey


@pytest.fixture
def fleet(workers: int, tmp_path: Path, fake: FakeUpstream, valkey: Valkey) -> Iterator[Fleet]:
    fake.script(TAG.path, manifest(BODY, OCI_MANIFEST))
    with Fleet(tmp_path, {REGISTRY: Upstream(fake.url)}, valkey=valkey, more=PROXY) as fleet:
        yield fleet


def operator(node: Daemon) -> Operator:
    return Operator.of(node, node.data_dir)


def trusts(node: Daemon) -> list[str]:
    """What clients of a node are to trust, as its operator is told."""
    said = operator(node).runs("ca", "show", "--json")
    return [one["fingerprint"] for one in said.json()["authorities"]]


def pull(node: Daemon, trusted: Daemon) -> bytes:
    """What a client of ``node`` gets that trusts what ``trusted`` has said."""
    port = int(node.wait_for_log(r"clients may have http://\S+:(\d+) as their HTTPS_PROXY")[1])
    with ProxyClient(("127.0.0.1", port), trusted.data_dir).inside(REGISTRY) as inside:
        answered = inside.say(ASK)
    assert answered.headers["Docker-Content-Digest"] == sha256(BODY)
    return answered.body


def agree(nodes: list[Daemon], count: int) -> bool:
    """Whether all have the same, and so many of them."""
    found = [trusts(node) for node in nodes]
    return len(found[0]) == count and all(one == found[0] for one in found)


def test_whichever_node_a_client_asks_it_trusts_it(fleet: Fleet, fake: FakeUpstream) -> None:
    nodes = [fleet.start() for _ in range(3)]
    until(functools.partial(agree, nodes, 1))
    for node in nodes:
        assert pull(node, trusted=nodes[0]) == BODY
    assert len(fake.seen.requests(TAG.path, "GET")) == 1


def test_one_that_is_renewed_is_renewed_for_all(fleet: Fleet, valkey: Valkey) -> None:
    nodes = [fleet.start() for _ in range(2)]
    until(functools.partial(agree, nodes, 1))
    (old,) = trusts(nodes[0])
    made = operator(nodes[0]).runs("ca", "renew", "--json").json()["fingerprint"]
    assert trusts(nodes[0]) == [old, made]
    # Nodes look each minute, and at once when Valkey is back; it has lost what it knew then.
    valkey.kill()
    valkey.again()
    until(functools.partial(agree, nodes, 2))
    assert trusts(nodes[1]) == [old, made]
    assert pull(nodes[1], trusted=nodes[0]) == BODY


def test_while_valkey_is_away_a_node_answers_by_what_it_has(fleet: Fleet, valkey: Valkey) -> None:
    node = fleet.start()
    until(functools.partial(agree, [node], 1))
    (fingerprint,) = trusts(node)
    valkey.kill()
    node.wait_for_log("goes on alone until it is back")
    assert pull(node, trusted=node) == BODY
    said = operator(node).runs("ca", "renew")
    assert said.status != 0
    assert "the CA is the fleet's, and Valkey is away" in said.err
    # Started again it has what it had.
    data_dir = node.data_dir
    node.stop()
    again = fleet.start(data_dir=data_dir)
    assert trusts(again) == [fingerprint]
    assert pull(again, trusted=again) == BODY


def test_a_new_node_makes_none_while_valkey_is_away(fleet: Fleet, valkey: Valkey) -> None:
    first = fleet.start()
    until(functools.partial(agree, [first], 1))
    valkey.kill()
    first.wait_for_log("goes on alone until it is back")
    new = fleet.start()
    assert trusts(new) == []
    port = int(new.wait_for_log(r"clients may have http://\S+:(\d+) as their HTTPS_PROXY")[1])
    refused = ProxyClient(("127.0.0.1", port), new.data_dir).ask(f"{REGISTRY}:443")
    assert (refused.status, "no CA of this proxy may sign" in refused.phrase) == (503, True)
    valkey.again()
    until(functools.partial(is_in_common, new, 2))
    until(functools.partial(agree, [first, new], 1))
    assert pull(new, trusted=first) == BODY
