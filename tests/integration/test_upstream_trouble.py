"""Upstreams that are slow, blocked, limited, down or odd, through the daemon itself: what is kept is served.

Each test has an upstream made for it. One that is merely hostile is in test_hostile_upstreams.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from http.client import IncompleteRead
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest

from tests.parts.answers import Answer, Cut, Stall
from tests.parts.daemon import Upstream
from tests.parts.images import OCI_INDEX, OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import Reply, ask
from tests.parts.registry import DockerRegistry
from tests.parts.shapes import challenge, content, error, manifest, ranged, redirect, token
from tests.parts.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.answers import Gate, Request, Script
    from tests.parts.daemon import Daemon, Start
    from tests.parts.fake_upstream import FakeUpstream
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER = bytes(range(256)) * 4096
BODY = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(LAYER), "size": len(LAYER)}
        ],
    }
).encode()
OTHER = BODY + b"\n"
TAG = manifest_place("v1")
TAGS = Place("/v2/team/app/tags/list")
REFERRERS = Place(f"/v2/team/app/referrers/{sha256(BODY)}")
# No time at all has passed is never true: a tag is stale whenever it is asked for again.
STALE = {"tag_ttl": "1ms", "patience": "30s"}
PAGE = Answer(headers=(("Content-Type", "text/html"),), body=b"<!DOCTYPE html><title>Log in to the network</title>")
TAG_LIST = Answer(
    headers=(("Content-Type", "application/json"),), body=json.dumps({"name": "team/app", "tags": ["v1"]}).encode()
)
REFERRERS_LIST = Answer(
    headers=(("Content-Type", OCI_INDEX),), body=json.dumps({"schemaVersion": 2, "manifests": []}).encode()
)


def get(daemon: Daemon, place: Place, method: str = "GET", *fields: tuple[str, str]) -> Reply:
    return ask(daemon.address, method, place.through, *fields)


def is_stale(reply: Reply, body: bytes = BODY) -> str:
    """Check that what is kept was served; return why."""
    assert (reply.status, reply.body) == (200, body), reply
    assert reply.headers["Cache-Status"].startswith("crproxy; hit; fwd=stale")
    return str(reply.headers["Warning"])


def with_tag(start: Start, fake: FakeUpstream, cache: dict[str, str] = STALE) -> Daemon:
    """Return a daemon that has the tag."""
    fake.script(TAG.path, manifest(BODY, OCI_MANIFEST))
    daemon = start({REGISTRY: Upstream(fake.url)}, cache=cache)
    assert get(daemon, TAG).body == BODY
    wait_until_known(daemon, BODY)
    return daemon


def wait_until_known(daemon: Daemon, body: bytes) -> None:
    """Wait until all workers know that something is kept: once it is in the index."""
    until(lambda: sha256(body) in daemon.cache.promised())


# It takes connections, and answers nothing


def test_a_silent_upstream_is_noticed_and_left_alone(start: Start, fake: FakeUpstream, gate: Gate) -> None:
    daemon, silent = with_tag(start, fake, {"tag_ttl": "1ms"}), Answer(fault=Stall(gate))
    for place in (TAG, manifest_place("v2"), Place("/v2/"), blob(LAYER)):
        fake.script(place.path, silent)
    # The first two wait for as long as patience lasts; whoever comes later is not made to wait for the same.
    assert "it has not answered for 2 s" in is_stale(get(daemon, TAG))
    assert "it has not answered for 2 s" in is_stale(get(daemon, TAG))
    unknown = get(daemon, manifest_place("v2"))
    assert (unknown.status, unknown.code) == (503, "UNAVAILABLE")
    assert int(unknown.headers["Retry-After"]) > 0
    daemon.wait_for_log("does not answer: it is not asked until it does")
    asked = len(fake.seen.requests(TAG.path))
    for place in (TAG, manifest_place("v2"), blob(LAYER)):
        for _ in range(3):
            reply = get(daemon, place)
            assert " has not answered for " in (is_stale(reply) if place == TAG else reply.message)
    assert len(fake.seen.requests(TAG.path)) == asked
    assert fake.seen.requests(blob(LAYER).path) == []
    fake.script("/v2/", Answer(body=b"{}"))
    fake.script(TAG.path, manifest(OTHER, OCI_MANIFEST))
    fake.script(blob(LAYER).path, content(LAYER))
    daemon.wait_for_log("answers again after")
    until(lambda: get(daemon, TAG).body == OTHER)
    assert get(daemon, blob(LAYER)).body == LAYER


# It is off


@pytest.mark.parametrize("place", [TAGS, REFERRERS], ids=["tags", "referrers"])
def test_lists_are_kept(start: Start, fake: FakeUpstream, place: Place) -> None:
    fake.script(TAGS.path, TAG_LIST)
    fake.script(REFERRERS.path, REFERRERS_LIST)
    daemon = start({REGISTRY: Upstream(fake.url)}, cache=STALE)
    first = get(daemon, place)
    fake.stop()
    until(lambda: "Warning" in get(daemon, place).headers)
    assert "it refuses connections" in is_stale(get(daemon, place), first.body)
    assert get(daemon, place).headers["Content-Type"] == first.headers["Content-Type"]


def test_skopeo_lists_tags_and_copies_while_its_registry_is_off(
    start: Start, tmp_path: Path, layout: Layout, skopeo: Skopeo
) -> None:
    image = layout.image()
    with DockerRegistry(tmp_path) as registry:
        for tag in ("1.2.0", "1.3.0"):
            skopeo.push(layout.source(image), registry.authority, f"team/chart:{tag}")
        daemon = start({REGISTRY: Upstream(registry.url)}, cache=STALE)
        name = f"127.0.0.1:{daemon.port}/{REGISTRY}/team/chart"
        assert skopeo.tags(name) == ["1.2.0", "1.3.0"]
        assert skopeo.pull(f"{name}:1.3.0") == image.digests
        for digest in image.digests:
            daemon.cache.wait_until_whole(digest)
    assert skopeo.tags(name) == ["1.2.0", "1.3.0"]
    assert skopeo.pull(f"{name}:1.3.0") == image.digests


# It answers 429


def test_a_limit_of_manifests_stops_no_blob_and_no_other_repository(start: Start, fake: FakeUpstream) -> None:
    other = manifest_place("v1", "team/other")
    fake.script(TAG.path, error(429, "TOOMANYREQUESTS", "slow down", ("Retry-After", "600")))
    fake.script(blob(LAYER).path, content(LAYER))
    fake.script(other.path, manifest(BODY, OCI_MANIFEST))
    daemon = start({REGISTRY: Upstream(fake.url)})
    for _ in range(2):
        reply = get(daemon, TAG)
        assert (reply.status, reply.code) == (429, "TOOMANYREQUESTS")
    assert len(fake.seen.requests(TAG.path)) == 1
    assert get(daemon, blob(LAYER)).body == LAYER
    assert get(daemon, other).body == BODY


# Something else answers in its place

STRANGE = {
    "page": PAGE,
    "nothing": Answer(),
    "error": Answer(headers=(("Content-Type", "application/json"),), body=b'{"message": "over quota"}'),
    "another": Answer(headers=(("Docker-Content-Digest", sha256(BODY)),), body=OTHER),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_no_manifest_is_upstreams_failure(start: Start, fake: FakeUpstream, strange: str) -> None:
    daemon = with_tag(start, fake)
    fake.script(TAG.path, STRANGE[strange])
    if strange != "another":
        # Else a HEAD would say that all is as it was.
        fake.script(TAG.path, replace(PAGE, body=b""), method="HEAD")
    else:
        fake.script(TAG.path, error(405, "UNSUPPORTED"), method="HEAD")
    assert "it sent " in is_stale(get(daemon, TAG))
    assert " is not available: it sent " in is_stale(get(daemon, TAG))
    fake.script(manifest_place("v2").path, STRANGE[strange])
    unknown = get(daemon, manifest_place("v2"))
    assert (unknown.status, unknown.code) == (502, "UNAVAILABLE")
    assert set(daemon.cache.whole()) == {sha256(BODY)}


@pytest.mark.parametrize("strange", [PAGE, Answer(), Answer(body=b'{"errors": []}')], ids=["page", "nothing", "error"])
@pytest.mark.parametrize(("place", "right"), [(TAGS, TAG_LIST), (REFERRERS, REFERRERS_LIST)], ids=["tags", "referrers"])
def test_what_is_no_list_is_upstreams_failure(
    start: Start, fake: FakeUpstream, place: Place, right: Answer, strange: Answer
) -> None:
    fake.script(place.path, strange)
    daemon = start({REGISTRY: Upstream(fake.url)}, cache=STALE)
    reply = get(daemon, place)
    assert (reply.status, reply.code) == (502, "UNAVAILABLE")
    fake.script(place.path, right)
    assert get(daemon, place).body == right.body
    assert isinstance(right.body, bytes)
    # All workers know of it once it is in the index, in a record of its own.
    until(lambda: bool(daemon.cache.promised()))
    fake.script(place.path, strange)
    assert "it sent " in is_stale(get(daemon, place), right.body)


# What it says of manifests

TYPED = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": []}).encode()
UNTYPED = json.dumps({"schemaVersion": 2, "config": {}, "layers": []}).encode()
INDEX = json.dumps({"schemaVersion": 2, "manifests": []}).encode()


@pytest.mark.parametrize("said", ["application/octet-stream", "text/plain", "application/json", None])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("body", "media_type"),
    [(TYPED, OCI_MANIFEST), (UNTYPED, OCI_MANIFEST), (INDEX, OCI_INDEX)],
    ids=["typed", "untyped", "index"],
)
def test_a_manifest_has_the_type_that_it_says(
    start: Start, fake: FakeUpstream, body: bytes, media_type: str, method: str, said: str | None
) -> None:
    fake.script(TAG.path, Answer(headers=() if said is None else (("Content-Type", said),), body=body))
    daemon = start({REGISTRY: Upstream(fake.url)})
    for place in (TAG, TAG):
        reply = get(daemon, place, method)
        assert (reply.status, reply.headers["Content-Type"]) == (200, media_type)
        assert reply.headers["Docker-Content-Digest"] == sha256(body)


# It refuses HEAD

REFUSALS = [400, 401, 403, 404, 405, 500, 501, 503]


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refused_head_is_confirmed_by_a_get(start: Start, fake: FakeUpstream, status: int) -> None:
    second = blob(LAYER, "team/second")
    daemon = with_tag(start, fake)
    for place, answer in ((blob(LAYER), ranged(LAYER)), (second, ranged(LAYER))):
        fake.script(place.path, answer)
        fake.script(place.path, Answer(status), method="HEAD")
    fake.script(TAG.path, Answer(status), method="HEAD")
    # A tag is not forgotten; and a HEAD is answered.
    for method in ("HEAD", "GET"):
        reply = get(daemon, TAG, method)
        assert (reply.status, "Warning" in reply.headers) == (200, False)
    assert get(daemon, blob(LAYER), "HEAD").headers["Content-Length"] == str(len(LAYER))
    # A stored blob is another repository's, too.
    assert get(daemon, blob(LAYER)).body == LAYER
    daemon.cache.wait_until_whole(sha256(LAYER))
    assert get(daemon, second, "HEAD").headers["Content-Length"] == str(len(LAYER))
    assert get(daemon, second).body == LAYER


def test_a_head_that_is_redirected_to_where_only_a_get_may_go(start: Start, fake: FakeUpstream) -> None:
    fake.script(blob(LAYER).path, redirect("/signed?for=GET"))
    fake.script("/signed", ranged(LAYER))
    fake.script("/signed", Answer(403, body=b"<Error><Code>SignatureDoesNotMatch</Code></Error>"), method="HEAD")
    daemon = start({REGISTRY: Upstream(fake.url)})
    reply = get(daemon, blob(LAYER), "HEAD")
    assert (reply.status, reply.headers["Content-Length"]) == (200, str(len(LAYER)))


# What it says of bodies


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "aws-chunked", "gzip, aws-chunked"])
def test_of_a_blob_the_digest_decides_what_it_is(start: Start, fake: FakeUpstream, coding: str) -> None:
    fake.script(blob(LAYER).path, content(LAYER, ("Content-Encoding", coding)))
    daemon = start({REGISTRY: Upstream(fake.url)})
    for _ in range(2):
        reply = get(daemon, blob(LAYER))
        assert (reply.status, reply.body) == (200, LAYER)
        assert "Content-Encoding" not in reply.headers
        daemon.cache.wait_until_whole(sha256(LAYER))


# It refuses Range


def plain_only(status: int, *faults: Cut | None) -> Script:
    """An upstream that refuses whatever has a Range; its plain answers have those faults in turn, then none."""
    left = list(faults)

    def answer(request: Request) -> Answer:
        if request.values("Range"):
            return Answer(status)
        return content(LAYER, fault=left.pop(0) if left and request.method == "GET" else None)

    return answer


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500, 501, 503])
def test_a_refused_range_is_no_refusal(start: Start, fake: FakeUpstream, status: int) -> None:
    fake.script(blob(LAYER).path, plain_only(status, Cut(len(LAYER) // 2)))
    daemon = start({REGISTRY: Upstream(fake.url)})
    assert get(daemon, blob(LAYER)).body == LAYER
    daemon.cache.wait_until_whole(sha256(LAYER))


def test_nor_after_what_was_begun_was_left(start: Start, fake: FakeUpstream, tmp_path: Path) -> None:
    """Also after a restart: what is on disk is gone on with, or begun anew."""
    fake.script(blob(LAYER).path, plain_only(403, *[Cut(len(LAYER) // 2)] * 40))
    first = start({REGISTRY: Upstream(fake.url)}, data_dir=tmp_path)
    with pytest.raises((IncompleteRead, OSError)):
        get(first, blob(LAYER))
    assert first.cache.partial()
    first.stop()
    fake.script(blob(LAYER).path, plain_only(403))
    second = start({REGISTRY: Upstream(fake.url)}, data_dir=tmp_path)
    assert get(second, blob(LAYER)).body == LAYER


# Its token service

SCOPE = "repository:team/app:pull"


def only_for(authorization: str, answer: Answer, challenged: Answer) -> Script:
    """Answer who has that Authorization; challenge others."""
    return lambda request: answer if request.values("Authorization") == [authorization] else challenged


def basic_challenge(*more: str) -> Answer:
    lines = ", ".join([*more, 'Basic realm="registry"'])
    return error(401, "UNAUTHORIZED", "who are you", ("WWW-Authenticate", lines))


def bearer(fake: FakeUpstream, path: str = "/token") -> str:
    return f'Bearer realm="{fake.url}{path}",service="registry",scope="{SCOPE}"'


USER = "Basic " + b64encode(b"me:secret").decode()


def with_login(fake: FakeUpstream) -> dict[str, Upstream]:
    return {REGISTRY: Upstream(fake.url, username="me", password="secret")}


def test_a_token_services_redirect_is_followed(start: Start, fake: FakeUpstream) -> None:
    challenged = challenge(f"{fake.url}/token", "registry", SCOPE)
    fake.script(TAG.path, only_for("Bearer abc", manifest(BODY, OCI_MANIFEST), challenged))
    fake.script("/token", redirect("/token/", 301))
    fake.script("/token/", token("abc"))
    daemon = start({REGISTRY: Upstream(fake.url)})
    assert get(daemon, TAG).body == BODY


def test_who_is_challenged_by_basic_after_bearer_is_answered_alike_each_time(start: Start, fake: FakeUpstream) -> None:
    def answer(request: Request) -> Answer:
        given = request.values("Authorization")
        if given == [USER]:
            return manifest(BODY, OCI_MANIFEST)
        if given:
            return basic_challenge()
        return challenge(f"{fake.url}/token", "registry", SCOPE)

    fake.script(TAG.path, answer)
    fake.script("/token", token("abc"))
    daemon = start(with_login(fake), cache=STALE)
    assert [get(daemon, TAG).status for _ in range(3)] == [200, 200, 200]


def test_of_two_challenges_bearer_is_preferred(start: Start, fake: FakeUpstream) -> None:
    fake.script(TAG.path, only_for("Bearer abc", manifest(BODY, OCI_MANIFEST), basic_challenge(bearer(fake))))
    fake.script("/token", token("abc"))
    daemon = start(with_login(fake))
    assert get(daemon, TAG).body == BODY


@pytest.mark.parametrize("refused", [error(401, "UNAUTHORIZED"), error(403, "DENIED"), token("of no use")])
def test_and_the_other_is_tried_after_a_refusal(start: Start, fake: FakeUpstream, refused: Answer) -> None:
    fake.script(TAG.path, only_for(USER, manifest(BODY, OCI_MANIFEST), basic_challenge(bearer(fake))))
    fake.script("/token", refused)
    daemon = start(with_login(fake))
    assert get(daemon, TAG).body == BODY


# What it sends is not what was asked for


@pytest.mark.parametrize(
    "sent", [Answer(), content(LAYER[:-1]), content(LAYER + b"x")], ids=["nothing", "less", "more"]
)
def test_a_blob_of_another_size_is_upstreams_failure(start: Start, fake: FakeUpstream, sent: Answer) -> None:
    fake.script(blob(LAYER).path, sent)
    daemon = with_tag(start, fake, {})
    for method in ("GET", "HEAD", "GET"):
        reply = get(daemon, blob(LAYER), method)
        assert reply.status == 502
    assert sha256(LAYER) not in daemon.cache.whole()
    fake.script(blob(LAYER).path, content(LAYER))
    assert get(daemon, blob(LAYER)).body == LAYER


# The tag has moved, and what it led to is gone


def test_where_the_child_of_an_index_is_gone_its_tag_is_asked_for_again(start: Start, fake: FakeUpstream) -> None:
    child = {"mediaType": OCI_MANIFEST, "digest": sha256(BODY), "size": len(BODY)}
    old, new = (
        json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child], "annotations": {"n": n}}).encode()
        for n in ("1", "2")
    )
    fake.script(TAG.path, manifest(old, OCI_INDEX))
    daemon = start({REGISTRY: Upstream(fake.url)})
    assert get(daemon, TAG).body == old
    until(lambda: "v1" in daemon.cache.tags())
    checked = daemon.cache.tags()["v1"]
    fake.script(TAG.path, manifest(new, OCI_INDEX))
    assert get(daemon, TAG).body == old
    assert get(daemon, manifest_place(sha256(BODY))).status == 404
    # The other worker knows once it is in the index.
    until(lambda: daemon.cache.tags()["v1"] < checked)
    assert get(daemon, TAG).body == new


# Only a registry's own 404 forgets


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_404_that_no_registry_wrote_forgets_nothing(
    start: Start, fake: FakeUpstream, status: int, method: str
) -> None:
    daemon = with_tag(start, fake)
    fake.script(TAG.path, replace(PAGE, status=status))
    assert f"answered {status}" in is_stale(get(daemon, TAG, method), BODY if method == "GET" else b"")
    fake.stop()
    assert "it refuses connections" in is_stale(get(daemon, TAG))


# Statuses


def test_an_address_with_raw_characters_is_followed(start: Start, fake: FakeUpstream) -> None:
    fake.script(blob(LAYER).path, redirect("/a layer.tar?name=a b\xe9"))
    fake.script("/a%20layer.tar", content(LAYER))
    daemon = start({REGISTRY: Upstream(fake.url)})
    assert get(daemon, blob(LAYER)).body == LAYER


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_passing_failure_is_not_noticed(start: Start, fake: FakeUpstream, status: int, method: str) -> None:
    fake.script(TAG.path, Answer(status), manifest(BODY, OCI_MANIFEST))
    daemon = start({REGISTRY: Upstream(fake.url)})
    assert get(daemon, TAG, method).status == 200


def test_what_may_not_be_shown_here_is_refused_with_upstreams_words(start: Start, fake: FakeUpstream) -> None:
    fake.script(TAG.path, error(451, "DENIED", "not in your country"))
    daemon = start({REGISTRY: Upstream(fake.url)})
    reply = get(daemon, TAG)
    assert (reply.status, reply.code) == (403, "DENIED")
    assert "not in your country" in reply.message


# ollama reads where a blob is from an answer that is no redirect


def test_ollama_fetches_a_blob_in_parts_from_where_it_is_said_to_be(start: Start, fake: FakeUpstream) -> None:
    """Its way, which is not run here: HEAD for the size, a GET for the Location alone, then ranges from there."""
    place = blob(LAYER, "library/tiny", "registry.ollama.ai")
    fake.script(place.path, ranged(LAYER))
    daemon = start({"registry.ollama.ai": Upstream(fake.url)})
    size = int(get(daemon, place, "HEAD").headers["Content-Length"])
    first = get(daemon, place, "GET")
    where = urlsplit(urljoin(f"http://{REGISTRY}{place.through}", first.headers["Location"])).path
    got = b""
    for start_ in range(0, size, 400_000):
        stop = min(start_ + 400_000, size)
        reply = ask(daemon.address, "GET", where, ("Range", f"bytes={start_}-{stop - 1}"))
        assert reply.status == 206
        got += reply.body
    assert got == LAYER


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blob_says_where_it_is(start: Start, fake: FakeUpstream, method: str) -> None:
    fake.script(blob(LAYER).path, content(LAYER))
    daemon = start({REGISTRY: Upstream(fake.url)})
    for _ in range(2):
        assert get(daemon, blob(LAYER), method).headers["Location"] == blob(LAYER).through
