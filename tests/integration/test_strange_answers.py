"""What a registry may say, in fields and numbers, that would hold the daemon up, break it, or show itself to people.

Seen through the daemon itself: the answer, its header, and a log without anything that nobody handled (S15, S17, S20).
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Filler, Request, Script
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import Reply, ask
from tests.parts.shapes import content, error, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

BODY = b'{"schemaVersion": 2}'
# An eighth of what 10 KB of a Link took when it was read by an expression that goes back.
SECONDS = 2.0
NOT_UNREGISTERED = "not unregistered"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, fake: FakeUpstream) -> Iterator[Daemon]:
    upstreams = {name: Upstream(fake.url, retries=0) for name in (REGISTRY, *QUOTAS.values())}
    with Daemon(tmp_path_factory.mktemp("daemon"), configuration(upstreams)) as daemon:
        yield daemon


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """One that nothing is known of."""
    return f"team/{sha256(request.node.name.encode())[7:19]}"


@pytest.fixture
def layer(repository: str) -> bytes:
    """One that no other has."""
    return repository.encode() * 20


def assert_inert(reply: Reply) -> None:
    """No browser shows it as a page of ours."""
    assert reply.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    (policy,) = reply.headers.get_all("Content-Security-Policy") or [""]
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'"} <= set(policy.split("; "))
    assert reply.headers.get_content_type() in ("application/json", "application/octet-stream", OCI_MANIFEST, OCI_INDEX)


OCI_INDEX = "application/vnd.oci.image.index.v1+json"


# What takes time

# Each a field of 16 KB, the most that Twisted takes in a line.
HOLDING_UP = {
    "Link: what once took 14 s": ("Link", "<>;" * 2000 + 'rel="' + " next" * 2000 + "!"),
    "Link: a relation in the next link": ("Link", ('rel=";<>;' * 1800)[:16000] + "!"),
    "Link: spaces": ("Link", "<a?b=1>" + " " * 15900 + "!"),
    "Link: parameters": ("Link", "<a?" + "a&" * 7900 + ">;rel=next"),
    "WWW-Authenticate: quotes": ("WWW-Authenticate", 'Bearer realm="' + '\\"' * 7900),
    "WWW-Authenticate: schemes": ("WWW-Authenticate", "a " * 7900 + "\x80"),
    "Retry-After": ("Retry-After", "1 " * 7900),
    "Docker-Content-Digest": ("Docker-Content-Digest", "sha256:" + "a" * 15900),
    "Content-Type": ("Content-Type", "application/" + "vnd." * 3900),
    "ratelimit": ("RateLimit-Limit", " " * 7900 + "1;w=" + "1" * 7900),
}


# One that answered 429 is left alone for a while.
QUOTAS = {kind: f"quota-{number}.example.org" for number, kind in enumerate(HOLDING_UP)}


@pytest.mark.security("S20")
@pytest.mark.parametrize("status", [200, 401, 429])
@pytest.mark.parametrize("kind", HOLDING_UP)
def test_s20_no_field_holds_the_daemon_up(
    daemon: Daemon, fake: FakeUpstream, repository: str, kind: str, status: int
) -> None:
    answer = Answer(status, (("Content-Type", "application/json"), HOLDING_UP[kind]), b"{}")
    registry = QUOTAS[kind] if status == 429 else REGISTRY
    paths = (
        f"/v2/{repository}/tags/list",
        f"/v2/{repository}/referrers/{sha256(b'x')}",
        f"/v2/{repository}/manifests/v1",
    )
    began = time.monotonic()
    for place in (Place(path, registry) for path in paths):
        fake.script(place.path, answer)
        assert ask(daemon.address, "GET", place.through).status in (403, 429, 502)
    assert time.monotonic() - began < SECONDS


@pytest.mark.security("S17")
@pytest.mark.parametrize(
    "body", [b"[" * 65_000, b"9," * 32_000, b'{"errors":[{"message":"' + b"a:b@" * 16_000 + b'"}]}']
)
def test_s17_no_error_document_does(daemon: Daemon, fake: FakeUpstream, repository: str, body: bytes) -> None:
    place = manifest_place("v1", repository)
    fake.script(place.path, Answer(404, body=body))
    began = time.monotonic()
    reply = ask(daemon.address, "GET", place.through)
    assert (reply.status, reply.code, time.monotonic() - began < SECONDS) == (404, "MANIFEST_UNKNOWN", True)


@pytest.mark.security("S19")
def test_s19_no_range_of_a_clients_does(daemon: Daemon, fake: FakeUpstream, repository: str, layer: bytes) -> None:
    place = blob(layer, repository)
    fake.script(place.path, content(layer))
    began = time.monotonic()
    reply = ask(daemon.address, "GET", place.through, ("Range", "bytes=1-1," + " " * 15_900 + "!"))
    assert (reply.status, time.monotonic() - began < SECONDS) == (200, True)


# What people would see


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "application/vnd.x+xml", "x"])
def test_s30_a_registrys_page_is_no_page_of_ours(
    daemon: Daemon, fake: FakeUpstream, repository: str, kind: str
) -> None:
    page = b"<script>alert(1)</script>" + repository.encode()
    fields = (("Content-Type", kind), ("ETag", '"x"'))
    tag, digest = manifest_place("v1", repository), manifest_place(sha256(page), repository)
    whole = blob(page, repository)
    lists = [Place(f"/v2/{repository}/tags/list"), Place(f"/v2/{repository}/referrers/{sha256(page)}")]
    for place in (tag, digest, whole, *lists):
        fake.script(place.path, Answer(200, (*fields, ("Docker-Content-Digest", sha256(page))), page))
    for place in (tag, digest, *lists, whole):
        for method in ("HEAD", "GET", "GET"):
            reply = ask(daemon.address, method, place.through)
            # What the digest names is what was asked for; nothing else is taken for a manifest or a list.
            named = place in (digest, whole)
            assert reply.status == 200 if named else reply.status == 502 or (place, method) == (tag, "HEAD")
            assert_inert(reply)
            assert reply.headers.get_content_type() != OCI_MANIFEST


@pytest.mark.parametrize("status", [206, 416])
def test_s30_nor_is_a_part_of_one(
    daemon: Daemon, fake: FakeUpstream, repository: str, layer: bytes, status: int
) -> None:
    place = blob(layer, repository)
    said = {206: f"bytes 5-9/{len(layer)}", 416: f"bytes */{len(layer)}"}[status]
    body = layer[5:10] if status == 206 else b"<script>"
    fake.script(place.path, Answer(status, (("Content-Type", "text/html"), ("Content-Range", said)), body))
    reply = ask(daemon.address, "GET", place.through, ("Range", "bytes=5-9"))
    assert (reply.status, reply.headers["Content-Range"], reply.headers["Content-Type"]) == (
        *(status, said),
        "application/octet-stream",
    )
    assert_inert(reply)


@pytest.mark.parametrize("said", ["bytes 0-0/*", "bytes */x", "bytes */9999999999999999999", "<script>", ""])
def test_a_range_that_upstream_does_not_name_is_not_repeated(
    daemon: Daemon, fake: FakeUpstream, repository: str, layer: bytes, said: str
) -> None:
    place = blob(layer, repository)
    fake.script(place.path, Answer(416, (("Content-Range", said),)))
    reply = ask(daemon.address, "GET", place.through, ("Range", "bytes=5-9"))
    assert (reply.status, reply.headers.get_all("Content-Range")) == (416, None)


def errors() -> dict[str, tuple[str, str, int]]:
    return {
        "no such path": ("GET", "/v2/x", 404),
        "a name that is none": ("GET", "/v2/A/manifests/v1", 400),
        "another method": ("POST", f"/v2/{REGISTRY}/team/app/blobs/uploads/", 405),
        "nothing there": ("GET", f"/v2/{REGISTRY}/team/nothing/manifests/v1", 404),
        "a ping": ("GET", "/v2/", 200),
        "a token": ("GET", "/token", 404),
        "another token": ("PUT", "/token", 405),
    }


@pytest.mark.parametrize("kind", errors())
def test_s30_every_answer_of_ours_is_inert(daemon: Daemon, kind: str) -> None:
    method, target, status = errors()[kind]
    reply = ask(daemon.address, method, target)
    assert_inert(reply)
    assert reply.status == status


def test_s30_so_is_what_the_operator_is_answered(daemon: Daemon) -> None:
    for target, status in (("/version", 200), ("/nowhere", 404)):
        reply = ask(daemon.data_dir / "admin.sock", "GET", target)
        assert reply.status == status
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in reply.headers["Content-Security-Policy"]


# Numbers that cannot be

LENGTHS = {
    "2^63": str(2**63),
    "2^64": str(2**64),
    "400 digits": "9" * 400,
    "5000 digits": "9" * 5000,
    "a sign": "+5",
    "less than nothing": "-1",
    "two": "5, 6",
    "no number": "five",
}


def lying(length: str) -> Script:
    """Answer a HEAD with this length, and a GET as if nothing were wrong."""

    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            digest = ("Docker-Content-Digest", sha256(BODY))
            return Answer(200, (("Content-Type", OCI_MANIFEST), digest), declared=length)
        return manifest(BODY, OCI_MANIFEST)

    return answer


@pytest.mark.parametrize("kind", LENGTHS)
def test_a_length_that_cannot_be_is_upstreams_lie(
    daemon: Daemon, fake: FakeUpstream, repository: str, layer: bytes, kind: str
) -> None:
    for place in (manifest_place("v1", repository), blob(layer, repository)):
        fake.script(place.path, lying(LENGTHS[kind]))
        reply = ask(daemon.address, "HEAD", place.through)
        assert (reply.status, reply.headers.get_content_type()) == (502, "application/json")
        assert_inert(reply)


def test_the_largest_length_that_can_be_is_repeated(
    daemon: Daemon, fake: FakeUpstream, repository: str, layer: bytes
) -> None:
    for place in (manifest_place("v1", repository), blob(layer, repository)):
        fake.script(place.path, lying(str(2**63 - 1)))
        reply = ask(daemon.address, "HEAD", place.through)
        assert (reply.status, reply.headers["Content-Length"]) == (200, str(2**63 - 1))


@pytest.mark.parametrize("length", [2**63, 2**64, 10**400])
def test_nor_can_that_of_a_body_be(
    daemon: Daemon, fake: FakeUpstream, repository: str, layer: bytes, length: int
) -> None:
    lists = [Place(f"/v2/{repository}/tags/list"), Place(f"/v2/{repository}/referrers/{sha256(b'x')}")]
    for place in (manifest_place("v1", repository), blob(layer, repository), *lists):
        fake.script(place.path, Answer(body=b"x", declared=length))
        assert ask(daemon.address, "GET", place.through).status == 502


@pytest.mark.parametrize("size", ["9223372036854775808", "9999999999999999999", "9" * 5000, "-1", "*"])
def test_nor_the_size_in_a_content_range(
    daemon: Daemon, fake: FakeUpstream, repository: str, layer: bytes, size: str
) -> None:
    """A HEAD that is not known is asked as a range of one byte."""
    place = blob(layer, repository)
    fake.script(place.path, error(405, "UNSUPPORTED"), method="HEAD")
    fake.script(place.path, Answer(206, (("Content-Range", f"bytes 0-0/{size}"),), layer[:1]))
    reply = ask(daemon.address, "HEAD", place.through)
    assert (reply.status, reply.headers.get("Content-Length")) == (200, None)
    assert ask(daemon.address, "GET", place.through, ("Range", "bytes=5-9")).status in (416, 503)


@pytest.mark.parametrize("waits", ["9" * 5000, "-1", "1e400", "nan", "Mon, 99 Jan 99999 99:99:99 GMT", "\x80", " "])
def test_nor_a_time_to_wait(daemon: Daemon, fake: FakeUpstream, repository: str, waits: str) -> None:
    place = Place(f"/v2/{repository}/tags/list")
    fake.script(place.path, error(503, "UNAVAILABLE", "x", ("Retry-After", waits)))
    reply = ask(daemon.address, "GET", place.through)
    assert reply.status == 503
    assert 0 <= int(reply.headers["Retry-After"]) <= 24 * 3600


@pytest.mark.parametrize("media_type", ["\ud800", "\ud800/x", "\udfff+json"])
@pytest.mark.parametrize("size", [5, 2**63, 10**30, -1, True])
def test_a_manifest_may_say_of_its_layers_what_it_likes(
    daemon: Daemon, fake: FakeUpstream, repository: str, layer: bytes, media_type: str, size: float
) -> None:
    said = {"mediaType": media_type, "digest": sha256(layer), "size": size}
    body = json.dumps(
        {"schemaVersion": 2, "mediaType": media_type, "config": said, "layers": [said], "manifests": [said]}
    ).encode()
    place = manifest_place("v1", repository)
    fake.script(place.path, manifest(body, OCI_MANIFEST))
    for method in ("HEAD", "GET", "GET", "HEAD"):
        reply = ask(daemon.address, method, place.through)
        assert (reply.status, reply.body) == (200, body if method == "GET" else b"")


# A range that upstream ignores


@pytest.mark.parametrize("size", [5000, 5_000_000])
@pytest.mark.parametrize("wanted", ["10-19", "10-", "-10", "0-9", "4000-4999"])
def test_a_part_of_what_upstream_sends_as_a_whole_ends_in_order(
    daemon: Daemon, fake: FakeUpstream, repository: str, wanted: str, size: int
) -> None:
    filler = Filler(size, seed=int(sha256(repository.encode())[7:13], 16))
    place = blob(filler, repository)
    fake.script(place.path, content(filler))
    whole = b"".join(filler.pieces())
    first, _, last = wanted.partition("-")
    start = int(first) if first else size - int(last)
    stop = int(last) + 1 if first and last else size
    before = len(daemon.log)
    for _ in range(2):
        reply = ask(daemon.address, "GET", place.through, ("Range", f"bytes={wanted}"))
        assert (reply.status, reply.body) == (206, whole[start:stop])
        assert reply.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
    assert ask(daemon.address, "GET", "/v2/").status == 200
    assert NOT_UNREGISTERED not in daemon.log[before:]
