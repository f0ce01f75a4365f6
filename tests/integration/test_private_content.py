"""Who may have what is kept: a repository sees its own, and what took credentials stays where it came from.

The rows are those of the project's table of threats (S10, S11, S12).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Gate, Request, Script, Stall
from tests.parts.daemon import Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import ask, exchange
from tests.parts.shapes import content, error, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.daemon import Daemon, Start

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

EVIL = "evil.example.org"
SECRET = b"the layer of a private image\n" * 1000
CONFIG = b"{}"
DOCUMENT = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": sha256(CONFIG), "size": len(CONFIG)},
        "layers": [{"mediaType": OCI_LAYER, "digest": sha256(SECRET), "size": len(SECRET)}],
    }
).encode()
TAG = manifest_place("v1", "private/app")
LAYER = blob(SECRET, "private/app")
STALE = {"tag_ttl": "1ms"}


def guarded(answer: Answer) -> Script:
    """Give ``answer`` to who brings a password, and ask others for one."""

    def choose(request: Request) -> Answer:
        if request.values("Authorization"):
            return answer
        return error(401, "UNAUTHORIZED", "who are you?", ("WWW-Authenticate", 'Basic realm="registry"'))

    return choose


@pytest.fixture
def evil() -> Iterator[FakeUpstream]:
    """A registry that says whatever serves its owner."""
    with FakeUpstream() as registry:
        yield registry


@pytest.fixture
def private(fake: FakeUpstream) -> FakeUpstream:
    """A registry with a private image."""
    fake.script(TAG.path, guarded(manifest(DOCUMENT, OCI_MANIFEST)))
    fake.script(manifest_place(sha256(DOCUMENT), "private/app").path, guarded(manifest(DOCUMENT, OCI_MANIFEST)))
    fake.script(LAYER.path, guarded(content(SECRET)))
    return fake


@pytest.fixture
def daemon(start: Start, private: FakeUpstream, evil: FakeUpstream) -> Daemon:
    """A daemon that has the password, and has pulled the private image."""
    running = start(
        {REGISTRY: Upstream(private.url, "puller", "password"), EVIL: Upstream(evil.url)},
        cache=STALE,
    )
    pull(running)
    return running


def pull(daemon: Daemon) -> None:
    assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
    assert ask(daemon.address, "GET", LAYER.through).body == SECRET
    daemon.cache.wait_until_whole(sha256(SECRET))
    daemon.cache.wait_until_whole(sha256(DOCUMENT))


def assert_unknown(daemon: Daemon, place: Place) -> None:
    for method in ("GET", "HEAD"):
        reply = ask(daemon.address, method, place.through)
        assert reply.status == 404, reply
        assert SECRET not in reply.body
    ranged = ask(daemon.address, "GET", place.through, ("Range", "bytes=5-"))
    assert ranged.status == 404


def test_s11_a_private_blob_is_refused_under_another_repositorys_name(daemon: Daemon, private: FakeUpstream) -> None:
    assert_unknown(daemon, blob(SECRET, "public/app"))
    assert_unknown(daemon, manifest_place(sha256(DOCUMENT), "public/app"))
    # Under its own it is there, and upstream need not be asked.
    private.stop()
    assert ask(daemon.address, "GET", LAYER.through).body == SECRET


def test_s11_another_repository_that_has_it_too_gets_it_without_a_second_fetch(
    daemon: Daemon, private: FakeUpstream
) -> None:
    also = blob(SECRET, "private/other")
    private.script(also.path, guarded(content(SECRET)))
    assert ask(daemon.address, "GET", also.through).body == SECRET
    assert {request.method for request in private.seen.requests(also.path)} == {"HEAD"}


@pytest.mark.parametrize("credentials", [False, True])
def test_s11_a_registry_that_claims_to_have_it_does_not_get_it(
    start: Start, private: FakeUpstream, evil: FakeUpstream, credentials: bool
) -> None:
    theirs = Upstream(evil.url, "mallory", "password") if credentials else Upstream(evil.url)
    daemon = start({REGISTRY: Upstream(private.url, "puller", "password"), EVIL: theirs})
    pull(daemon)
    claimed = blob(SECRET, "team/app", EVIL)
    head = Answer(declared=len(SECRET))
    evil.script(claimed.path, head, method="HEAD")
    reply = ask(daemon.address, "GET", claimed.through)
    assert reply.status == 404
    assert SECRET not in reply.body
    manifest_there = manifest_place(sha256(DOCUMENT), "team/app", EVIL)
    evil.script(manifest_there.path, manifest(DOCUMENT, OCI_MANIFEST), method="HEAD")
    assert ask(daemon.address, "GET", manifest_there.through).status == 404


def test_s11_a_manifest_elsewhere_that_refers_to_it_does_not_open_it(daemon: Daemon, evil: FakeUpstream) -> None:
    tag = manifest_place("v1", "team/app", EVIL)
    evil.script(tag.path, manifest(DOCUMENT + b"\n", OCI_MANIFEST))
    assert ask(daemon.address, "GET", tag.through).status == 200
    assert_unknown(daemon, blob(SECRET, "team/app", EVIL))


def test_s11_a_private_fetch_under_way_is_not_joined_from_elsewhere(
    daemon: Daemon, private: FakeUpstream, gate: Gate
) -> None:
    larger = SECRET * 2
    place = blob(larger, "private/app")
    private.script(place.path, guarded(content(larger, fault=Stall(gate, at=len(SECRET)))))
    with exchange(daemon.address, "GET", place.through) as response:
        assert response.read(1000) == larger[:1000]
        assert_unknown(daemon, blob(larger, "public/app"))
        assert_unknown(daemon, blob(larger, "team/app", EVIL))
        gate.open()
        assert response.read() == larger[1000:]


@pytest.mark.parametrize("status", [401, 403])
def test_s12_what_took_credentials_is_not_served_stale_once_refused(
    daemon: Daemon, private: FakeUpstream, status: int
) -> None:
    private.script(TAG.path, error(status, "DENIED", "you have left the team"))
    reply = ask(daemon.address, "GET", TAG.through)
    assert (reply.status, reply.code) == (403, "DENIED")
    assert REGISTRY in reply.message


def test_s12_an_upstream_that_is_down_has_not_refused_anybody(daemon: Daemon, private: FakeUpstream) -> None:
    private.stop()
    reply = ask(daemon.address, "GET", TAG.through)
    assert (reply.status, reply.body) == (200, DOCUMENT)
    assert "Warning" in reply.headers


def test_s10_a_daemon_without_the_password_knows_nothing_of_what_took_it(
    start: Start, private: FakeUpstream, tmp_path: Path
) -> None:
    with_it = start({REGISTRY: Upstream(private.url, "puller", "password")}, data_dir=tmp_path / "kept")
    pull(with_it)
    with_it.stop()
    without = start({REGISTRY: Upstream(private.url)}, data_dir=tmp_path / "kept")
    for place in (TAG, LAYER, manifest_place(sha256(DOCUMENT), "private/app")):
        reply = ask(without.address, "GET", place.through)
        assert (reply.status, reply.code) == (403, "DENIED"), place
    private.stop()
    for place in (TAG, LAYER, manifest_place(sha256(DOCUMENT), "private/app")):
        assert ask(without.address, "GET", place.through).status == 503


def test_s10_what_anybody_could_have_is_served_stale_to_the_one_with_the_password(
    start: Start, fake: FakeUpstream, tmp_path: Path
) -> None:
    fake.script(TAG.path, manifest(DOCUMENT, OCI_MANIFEST))
    without = start({REGISTRY: Upstream(fake.url)}, data_dir=tmp_path / "kept")
    assert ask(without.address, "GET", TAG.through).body == DOCUMENT
    without.cache.wait_until_whole(sha256(DOCUMENT))
    without.stop()
    fake.script(TAG.path, error(403, "DENIED"))
    with_it = start({REGISTRY: Upstream(fake.url, "puller", "password")}, data_dir=tmp_path / "kept")
    reply = ask(with_it.address, "GET", TAG.through)
    assert (reply.status, reply.body) == (200, DOCUMENT)
    assert "Warning" in reply.headers
