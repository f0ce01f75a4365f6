"""Requests for a part of a blob, with something of it here that was left half done."""

from __future__ import annotations

import pytest

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.oci.routes import BlobRequest
from crproxy.store.entries import Entry
from crproxy.store.store import Store
from tests.memory import ended
from tests.pullthrough.conftest import REPOSITORY, Ask, Client, body_of
from tests.sources import HandSource
from tests.stores import MIB, filled

CONTENT = bytes(range(256)) * (6 * MIB // 256)
DIGEST = Digest.of(CONTENT)
SIZE = len(CONTENT)
WANTED = BlobRequest("x", DIGEST)
# Nobody is told to wait for more than 4 MiB that are not here.
FAR = 5 * MIB
STORED, PASSED = "crproxy; fwd=uri-miss; stored", "crproxy; fwd=uri-miss"


@pytest.fixture
def source(client: Client) -> HandSource:
    client.holds(CONTENT)
    return client.blobs[DIGEST]


def begun(store: Store, length: int, origin: Registry = REPOSITORY.registry) -> None:
    filled(store.blobs, Entry(DIGEST), CONTENT[:length], origin)


@pytest.mark.parametrize(
    ("here", "first"),
    [
        pytest.param(MIB, MIB, id="where it was left"),
        pytest.param(MIB, MIB // 2, id="before that"),
        pytest.param(MIB, MIB + 1, id="a little beyond"),
        pytest.param(MIB, FAR, id="as far beyond as is near"),
        pytest.param(0, 1, id="after nothing at all"),
    ],
)
def test_who_resumes_near_what_was_begun_has_it_go_on(
    source: HandSource, ask: Ask, store: Store, here: int, first: int
) -> None:
    begun(store, here)
    asking = ask(WANTED, headers={"range": f"bytes={first}-"})
    assert source.asked == [(here, None)]
    body = source.answer()
    reply = ended(asking)
    body.send(CONTENT[here:])
    body.end()
    assert (reply.status, reply.headers["Cache-Status"]) == (206, STORED)
    assert reply.headers["Content-Range"] == f"bytes {first}-{SIZE - 1}/{SIZE}"
    assert body_of(reply) == CONTENT[first:]
    assert store.size(Entry(DIGEST)) == SIZE


@pytest.mark.parametrize(
    ("here", "first"), [pytest.param(MIB, FAR + 1, id="too far beyond"), pytest.param(None, 1, id="nothing was begun")]
)
def test_who_resumes_elsewhere_is_passed_on(
    source: HandSource, ask: Ask, store: Store, here: int | None, first: int
) -> None:
    if here is not None:
        begun(store, here)
    asking = ask(WANTED, headers={"range": f"bytes={first}-"})
    assert source.asked == [(first, None)]
    source.answer()
    reply = ended(asking)
    assert (reply.status, reply.headers["Cache-Status"]) == (206, PASSED)
    assert store.size(Entry(DIGEST)) is None
    reply.body.abandon()


def test_a_part_from_the_start_is_never_passed_on(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": "bytes=0-9"})
    assert source.asked == [(0, None)]
    body = source.answer()
    reply = ended(asking)
    body.send(CONTENT)
    body.end()
    assert body_of(reply) == CONTENT[:10]


def test_the_last_bytes_are_passed_on_whatever_was_begun(source: HandSource, ask: Ask, store: Store) -> None:
    begun(store, SIZE - 20)
    asking = ask(WANTED, headers={"range": "bytes=-10"})
    assert (source.sized, source.asked) == (0, [(SIZE - 10, SIZE)])
    source.answer()
    ended(asking).body.abandon()


def test_what_another_registry_began_is_nothing_to_go_on_from(source: HandSource, ask: Ask, store: Store) -> None:
    begun(store, MIB, Registry("ghcr.io"))
    asking = ask(WANTED, headers={"range": f"bytes={MIB}-"})
    assert source.asked == [(MIB, None)]
    source.answer()
    reply = ended(asking)
    assert reply.headers["Cache-Status"] == PASSED
    reply.body.abandon()
