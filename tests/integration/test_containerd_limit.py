"""Manifests that are too large for containerd, and for anybody.

The row is C11 of the project's table of how clients behave.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Filler, Framing
from tests.parts.containerd import Containerd, hosts
from tests.parts.daemon import Daemon, Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import Place, manifest_place
from tests.parts.program import Failed
from tests.parts.raw_http import Reply, ask
from tests.parts.recordings import CONTAINERD
from tests.parts.shapes import content, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.daemon import Start

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20
LIMIT = 4 * MEBIBYTE
HUB = "docker.io"
TAG = manifest_place("v1", "library/app", HUB)


@pytest.fixture
def daemon(start: Start, fake: FakeUpstream) -> Daemon:
    return start({HUB: Upstream(fake.url)})


def by_tag_and_digest(document: bytes) -> tuple[Place, Place]:
    return TAG, manifest_place(sha256(document), "library/app", HUB)


def get(daemon: Daemon, place: Place) -> Reply:
    return ask(daemon.address, "GET", f"{place.path}?ns={HUB}", *CONTAINERD.manifest)


def large_manifest(size: int) -> bytes:
    empty = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "annotations": {"a": ""}}
    room = size - len(json.dumps(empty))
    return json.dumps({**empty, "annotations": {"a": "x" * room}}).encode()


def test_c11_a_manifest_of_just_4_mib_is_served(daemon: Daemon, fake: FakeUpstream) -> None:
    document = large_manifest(LIMIT)
    fake.script(TAG.path, manifest(document, OCI_MANIFEST))
    reply = get(daemon, TAG)
    assert (reply.status, len(reply.body), sha256(reply.body)) == (200, LIMIT, sha256(document))


@pytest.mark.parametrize("framing", list(Framing))
def test_c11_a_larger_one_is_refused_and_not_kept(daemon: Daemon, fake: FakeUpstream, framing: Framing) -> None:
    document = large_manifest(LIMIT + 1)
    for place in by_tag_and_digest(document):
        fake.script(place.path, Answer(headers=(("Content-Type", OCI_MANIFEST),), body=document, framing=framing))
        reply = get(daemon, place)
        assert (reply.status, reply.code) == (502, "MANIFEST_INVALID")
        assert HUB in reply.message
    assert (daemon.cache.whole(), daemon.cache.partial(), daemon.cache.promised()) == ({}, {}, {})


def test_c11_a_huge_one_is_not_even_fetched(daemon: Daemon, fake: FakeUpstream) -> None:
    fake.script(TAG.path, content(Filler(256 * MEBIBYTE)))
    reply = get(daemon, TAG)
    assert (reply.status, reply.code) == (502, "MANIFEST_INVALID")
    (request,) = fake.seen.requests(TAG.path)
    fake.seen.wait_until_closed(request.connection)
    # What sockets and buffers on the way have room for.
    assert fake.seen.sent(TAG.path) < LIMIT + 24 * MEBIBYTE


def test_c11_containerd_is_told(daemon: Daemon, fake: FakeUpstream, containerd: Containerd, tmp_path: Path) -> None:
    document = large_manifest(LIMIT + 1)
    for place in by_tag_and_digest(document):
        fake.script(place.path, manifest(document, OCI_MANIFEST))
    with pytest.raises(Failed, match="502 Bad Gateway"):
        containerd.pull(f"{HUB}/library/app:v1", hosts(tmp_path, daemon.url))
