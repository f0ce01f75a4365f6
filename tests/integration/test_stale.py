"""Tags and time: when upstream is asked, what it is asked, and what is served when it cannot or will not say."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Stall
from tests.parts.daemon import Upstream
from tests.parts.images import DOCKER_MANIFEST, OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.raw_http import Reply, ask
from tests.parts.shapes import content, error, manifest
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.parts.answers import Gate
    from tests.parts.daemon import Daemon, Start
    from tests.parts.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

BODY = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []}, indent=4).encode()
OTHER = BODY + b"\n"
TAG = manifest_place("v1")
# No time at all has passed is never true: a tag is stale whenever it is asked for again.
STALE = {"tag_ttl": "1ms"}


def methods(fake: FakeUpstream, path: str = TAG.path) -> list[str]:
    return [request.method for request in fake.seen.requests(path)]


def asked_by_tag(daemon: Daemon) -> Reply:
    return ask(daemon.address, "GET", TAG.through)


def daemon_with_tag(start: Start, fake: FakeUpstream, cache: dict[str, str], *, headers: str = "30s") -> Daemon:
    """Return a daemon that has the tag."""
    fake.script(TAG.path, manifest(BODY, OCI_MANIFEST))
    daemon = start({REGISTRY: Upstream(fake.url)}, cache=cache, headers=headers)
    assert asked_by_tag(daemon).body == BODY
    # The other worker knows once it is in the index.
    until(lambda: "v1" in daemon.cache.tags())
    return daemon


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_fresh_tag_is_served_without_asking(start: Start, fake: FakeUpstream, method: str) -> None:
    daemon = daemon_with_tag(start, fake, {})
    for _ in range(3):
        reply = ask(daemon.address, method, TAG.through)
        assert (reply.status, reply.body) == (200, BODY if method == "GET" else b"")
        assert reply.headers["Cache-Status"] == "crproxy; hit"
        assert reply.headers["Docker-Content-Digest"] == sha256(BODY)
        assert reply.headers["Content-Type"] == OCI_MANIFEST
        assert reply.headers["Content-Length"] == str(len(BODY))
        assert "Warning" not in reply.headers
    assert methods(fake) == ["GET"]


def test_a_stale_tag_is_checked_by_exactly_one_head(start: Start, fake: FakeUpstream) -> None:
    daemon = daemon_with_tag(start, fake, STALE)
    reply = asked_by_tag(daemon)
    assert (reply.status, reply.body) == (200, BODY)
    assert reply.headers["Cache-Status"] == "crproxy; hit; detail=revalidated"
    assert "Warning" not in reply.headers
    assert methods(fake) == ["GET", "HEAD"]


def test_a_tag_that_has_moved_is_fetched(start: Start, fake: FakeUpstream) -> None:
    daemon = daemon_with_tag(start, fake, STALE)
    fake.script(TAG.path, manifest(OTHER, DOCKER_MANIFEST))
    reply = asked_by_tag(daemon)
    assert (reply.body, reply.headers["Content-Type"]) == (OTHER, DOCKER_MANIFEST)
    assert methods(fake) == ["GET", "HEAD", "GET"]
    # What it pointed to before is still there by digest.
    assert ask(daemon.address, "GET", manifest_place(sha256(BODY)).through).body == BODY
    assert len(fake.seen.requests()) == 3


def test_a_tag_that_has_moved_back_is_not_fetched_again(start: Start, fake: FakeUpstream) -> None:
    daemon = daemon_with_tag(start, fake, STALE)
    fake.script(TAG.path, manifest(OTHER, OCI_MANIFEST))
    assert asked_by_tag(daemon).body == OTHER
    fake.script(TAG.path, manifest(BODY, OCI_MANIFEST))
    assert asked_by_tag(daemon).body == BODY
    assert methods(fake) == ["GET", "HEAD", "GET", "HEAD"]


def test_a_head_of_a_cold_tag_fetches_nothing_and_makes_nothing_fresh(start: Start, fake: FakeUpstream) -> None:
    fake.script(TAG.path, manifest(BODY, OCI_MANIFEST))
    daemon = start({REGISTRY: Upstream(fake.url)})
    assert ask(daemon.address, "HEAD", TAG.through).status == 200
    assert asked_by_tag(daemon).body == BODY
    assert methods(fake) == ["HEAD", "GET"]


def is_stale(reply: Reply) -> bool:
    assert (reply.status, reply.body) == (200, BODY), reply
    assert reply.headers["Warning"].startswith('299 crproxy "'), reply.headers
    assert reply.headers["Cache-Status"].startswith("crproxy; hit; fwd=stale")
    return True


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_5xx_upstream_serves_the_tag_stale(start: Start, fake: FakeUpstream, status: int) -> None:
    daemon = daemon_with_tag(start, fake, STALE)
    fake.script(TAG.path, error(status, "UNKNOWN"))
    assert is_stale(asked_by_tag(daemon))


def test_an_upstream_that_does_not_answer_serves_the_tag_stale(start: Start, fake: FakeUpstream, gate: Gate) -> None:
    daemon = daemon_with_tag(start, fake, STALE, headers="300ms")
    fake.script(TAG.path, Answer(fault=Stall(gate)))
    assert is_stale(asked_by_tag(daemon))


def test_what_is_not_known_is_503_while_upstream_is_down(start: Start, fake: FakeUpstream) -> None:
    daemon = daemon_with_tag(start, fake, STALE)
    fake.stop()
    for place in (manifest_place("v2"), manifest_place(sha256(OTHER)), blob(OTHER)):
        reply = ask(daemon.address, "GET", place.through)
        assert (reply.status, reply.code) == (503, "UNAVAILABLE")
        assert int(reply.headers["Retry-After"]) > 0


def test_a_tag_is_not_served_stale_for_ever(start: Start, fake: FakeUpstream) -> None:
    daemon = daemon_with_tag(start, fake, STALE | {"stale_if_error": "1ms"})
    fake.stop()
    assert asked_by_tag(daemon).status == 503


def test_a_429_serves_the_tag_stale_and_is_respected(start: Start, fake: FakeUpstream) -> None:
    daemon = daemon_with_tag(start, fake, STALE)
    fake.script(TAG.path, error(429, "TOOMANYREQUESTS", "slow down", ("Retry-After", "2")))
    assert is_stale(asked_by_tag(daemon))
    began = time.monotonic()
    asked = len(fake.seen.requests())
    while len(fake.seen.requests()) == asked:
        assert is_stale(asked_by_tag(daemon))
        assert time.monotonic() - began < 10
    assert time.monotonic() - began > 1.5
    other = ask(daemon.address, "HEAD", manifest_place("v2").through)
    assert other.status == 429
    assert int(other.headers["Retry-After"]) > 0


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_404_makes_a_tag_forgotten(start: Start, fake: FakeUpstream, method: str) -> None:
    daemon = daemon_with_tag(start, fake, STALE)
    fake.script(TAG.path, error(404, "MANIFEST_UNKNOWN"))
    assert ask(daemon.address, method, TAG.through).status == 404
    until(lambda: not daemon.cache.tags())
    fake.stop()
    assert asked_by_tag(daemon).status == 503
    assert ask(daemon.address, "GET", manifest_place(sha256(BODY)).through).body == BODY


@pytest.mark.parametrize("status", [401, 403])
def test_s12_a_refusal_serves_what_anybody_could_have_stale(start: Start, fake: FakeUpstream, status: int) -> None:
    daemon = daemon_with_tag(start, fake, STALE)
    fake.script(TAG.path, error(status, "DENIED", "this plan has ended"))
    assert is_stale(asked_by_tag(daemon))


def test_a_manifest_is_kept_byte_for_byte_with_upstreams_type(start: Start, fake: FakeUpstream) -> None:
    body = b' {"manifests" :[], "schemaVersion":2 }\r\n'
    fake.script(TAG.path, manifest(body, "application/vnd.example+json; charset=utf-8"))
    daemon = start({REGISTRY: Upstream(fake.url)})
    for place in (TAG, TAG, manifest_place(sha256(body))):
        for accept in ("*/*", OCI_MANIFEST):
            reply = ask(daemon.address, "GET", place.through, ("Accept", accept))
            assert (reply.body, reply.headers["Content-Type"]) == (body, "application/vnd.example+json; charset=utf-8")
    assert methods(fake) == ["GET"]


def test_s15_an_oversized_manifest_is_refused_and_not_kept(start: Start, fake: FakeUpstream) -> None:
    body = json.dumps({"schemaVersion": 2, "layers": [], "annotations": {"a": "x" * (4 << 20)}}).encode()
    fake.script(TAG.path, manifest(body, OCI_MANIFEST))
    daemon = start({REGISTRY: Upstream(fake.url)})
    for _ in range(2):
        reply = asked_by_tag(daemon)
        assert (reply.status, reply.code) == (502, "MANIFEST_INVALID")
    assert daemon.cache.whole() == {}
    assert methods(fake) == ["GET", "GET"]


@pytest.mark.parametrize("status", [404, 500, 206, 203])
@pytest.mark.parametrize(
    ("place", "shape"),
    [(TAG, lambda body: manifest(body, OCI_MANIFEST)), (blob(BODY), content)],
    ids=["manifest", "blob"],
)
def test_s9_no_answer_but_200_is_kept(
    start: Start, fake: FakeUpstream, place: object, shape: Callable[[bytes], Answer], status: int
) -> None:
    assert isinstance(place, type(TAG))
    good = shape(BODY)
    fake.script(place.path, Answer(status, good.headers, good.body))
    daemon = start({REGISTRY: Upstream(fake.url)})
    assert ask(daemon.address, "GET", place.through).status not in (200, status if status < 300 else 200)
    assert daemon.cache.whole() == {}
    fake.script(place.path, good)
    assert ask(daemon.address, "GET", place.through).body == BODY
    assert "GET" in methods(fake, place.path)[1:]


def test_r5_a_warm_head_asks_nobody_and_a_cold_one_downloads_nothing(start: Start, fake: FakeUpstream) -> None:
    place = blob(BODY)
    fake.script(place.path, content(BODY))
    daemon = start({REGISTRY: Upstream(fake.url)})
    for _ in range(2):
        header = ask(daemon.address, "HEAD", place.through)
        assert (header.status, header.headers["Content-Length"]) == (200, str(len(BODY)))
    assert fake.seen.sent(place.path) == 0
    assert set(methods(fake, place.path)) == {"HEAD"}
    assert ask(daemon.address, "GET", place.through).body == BODY
    daemon.cache.wait_until_whole(sha256(BODY))
    before = len(fake.seen.requests())
    header = ask(daemon.address, "HEAD", place.through)
    assert (header.status, header.headers["Content-Length"]) == (200, str(len(BODY)))
    assert header.headers["Cache-Status"] == "crproxy; hit"
    assert header.headers["Accept-Ranges"] == "bytes"
    assert len(fake.seen.requests()) == before
