"""What no longer opens stored bytes: a manifest's word, a stranger's 200, a permission that has ended.

The rows are those of the project's table of threats (S11, S12); the table of who may have what is in decision 0004.
"""

from __future__ import annotations

import base64
import json
from http.client import IncompleteRead
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Gate, Request, Script, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import Reply, ask, exchange
from tests.parts.shapes import content, error, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

EVIL = "evil.example.org"
SECRET = b"the layer of a secret image\n" * 1000
CONFIG = b"{}"
PRIVILEGED, ANYBODY = ("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-For", "198.51.100.9")
LISTEN = '[listen]\ntrusted_proxies = ["127.0.0.1/32"]\n[clients]\nprivileged = ["192.0.2.0/24"]\n'


def document(*layers: bytes, **more: object) -> bytes:
    described = [{"mediaType": OCI_LAYER, "digest": sha256(layer), "size": len(layer)} for layer in layers]
    config = {"mediaType": OCI_CONFIG, "digest": sha256(CONFIG), "size": len(CONFIG)}
    named = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": described, **more}
    return json.dumps(named).encode()


DOCUMENT = document(SECRET)
TAG, LAYER = manifest_place("v1", "team/secret"), blob(SECRET, "team/secret")
BY_DIGEST = manifest_place(sha256(DOCUMENT), "team/secret")


@pytest.fixture
def evil() -> Iterator[FakeUpstream]:
    """A registry that says whatever serves its owner."""
    with FakeUpstream() as registry:
        yield registry


@pytest.fixture
def internal(fake: FakeUpstream) -> FakeUpstream:
    """A registry inside, which asks nobody for a password."""
    fake.script(TAG.path, manifest(DOCUMENT, OCI_MANIFEST))
    fake.script(BY_DIGEST.path, manifest(DOCUMENT, OCI_MANIFEST))
    fake.script(LAYER.path, content(SECRET))
    return fake


@pytest.fixture
def daemon(tmp_path: Path, internal: FakeUpstream, evil: FakeUpstream) -> Iterator[Daemon]:
    """It keeps what is secret for some clients, of whom one has pulled it."""
    config = configuration({REGISTRY: Upstream(internal.url), EVIL: Upstream(evil.url)}, cache={"tag_ttl": "1ms"})
    access = f'[access]\ndeny = ["{REGISTRY}/team/secret"]\n'
    with Daemon(tmp_path, config + access + LISTEN) as daemon:
        for place, expected in ((TAG, DOCUMENT), (LAYER, SECRET)):
            assert asks(daemon, place, PRIVILEGED).body == expected
            assert asks(daemon, place, ANYBODY).status == 403
            daemon.cache.wait_until_whole(sha256(expected))
        yield daemon


def asks(daemon: Daemon, place: Place, who: tuple[str, str], method: str = "GET") -> Reply:
    return ask(daemon.address, method, place.through, who)


@pytest.mark.parametrize("who", [ANYBODY, PRIVILEGED])
def test_s11_what_an_allowed_manifest_refers_to_is_not_opened_by_it(
    daemon: Daemon, internal: FakeUpstream, who: tuple[str, str]
) -> None:
    """As a layer, in a field that nobody knows, and as a manifest that is read as a blob."""
    others = [{"mediaType": OCI_MANIFEST, "digest": sha256(DOCUMENT), "size": len(DOCUMENT)}]
    wanted = manifest_place("v1", "team/app")
    internal.script(wanted.path, manifest(document(SECRET, blobs=others, manifests=others), OCI_MANIFEST))
    assert asks(daemon, wanted, who).status == 200
    places = (blob(SECRET, "team/app"), blob(DOCUMENT, "team/app"), manifest_place(sha256(DOCUMENT), "team/app"))
    for method in ("GET", "HEAD"):
        for place in places:
            before = len(internal.seen.requests(place.path))
            reply = asks(daemon, place, who, method)
            assert reply.status == 404, (method, place)
            # Upstream was asked each time.
            assert len(internal.seen.requests(place.path)) > before


@pytest.mark.parametrize("ranges", [(), (("Range", "bytes=0-"),), (("Range", "bytes=100-199"),)])
@pytest.mark.parametrize("who", [ANYBODY, PRIVILEGED])
def test_s11_a_stranger_who_says_200_gets_nothing_of_it(
    daemon: Daemon, evil: FakeUpstream, who: tuple[str, str], ranges: tuple[tuple[str, str], ...]
) -> None:
    claimed = blob(SECRET, "a/b", EVIL)
    evil.script(claimed.path, Answer(declared=len(SECRET)), method="HEAD")
    evil.script(claimed.path, error(404, "BLOB_UNKNOWN"), method="GET")
    there = manifest_place(sha256(DOCUMENT), "a/b", EVIL)
    evil.script(there.path, manifest(DOCUMENT, OCI_MANIFEST), method="HEAD")
    evil.script(there.path, error(404, "MANIFEST_UNKNOWN"), method="GET")
    for _ in range(2):
        for place in (claimed, there):
            assert asks(daemon, place, who, "HEAD").status == 200
            reply = ask(daemon.address, "GET", place.through, who, *ranges)
            assert reply.status == 404
            assert SECRET[:20] not in reply.body


def test_s11_nor_by_bytes_of_the_same_length(daemon: Daemon, evil: FakeUpstream) -> None:
    claimed = blob(SECRET, "a/b", EVIL)
    evil.script(claimed.path, content(b"x" * len(SECRET)))
    for _ in range(2):
        fetched = exchange(daemon.address, "GET", claimed.through, ANYBODY)
        with pytest.raises((IncompleteRead, ConnectionError)) as cut, fetched as response:
            response.read()
        assert SECRET[:20] not in getattr(cut.value, "partial", b"")


def test_s11_nor_while_it_is_being_fetched(
    daemon: Daemon, internal: FakeUpstream, evil: FakeUpstream, gate: Gate
) -> None:
    larger = SECRET * 2
    place, claimed = blob(larger, "team/secret"), blob(larger, "a/b", EVIL)
    internal.script(place.path, content(larger, fault=Stall(gate, at=len(SECRET))))
    evil.script(claimed.path, Answer(declared=len(larger)), method="HEAD")
    evil.script(claimed.path, error(404, "BLOB_UNKNOWN"), method="GET")
    with exchange(daemon.address, "GET", place.through, PRIVILEGED) as response:
        assert response.read(1000) == larger[:1000]
        assert asks(daemon, claimed, ANYBODY).status == 404
        gate.open()
        assert response.read() == larger[1000:]


def test_who_has_the_bytes_shows_them_once(daemon: Daemon, evil: FakeUpstream) -> None:
    """A copy that is no secret elsewhere: sent once, it is a hit from then on."""
    theirs = blob(SECRET, "a/b", EVIL)
    evil.script(theirs.path, content(SECRET))
    for _ in range(3):
        assert asks(daemon, theirs, ANYBODY).body == SECRET
    assert len(evil.seen.requests(theirs.path, "GET")) == 1


def test_what_everybody_may_pull_is_shared_without_a_question(
    tmp_path: Path, internal: FakeUpstream, evil: FakeUpstream
) -> None:
    with Daemon(tmp_path, configuration({REGISTRY: Upstream(internal.url), EVIL: Upstream(evil.url)})) as daemon:
        assert ask(daemon.address, "GET", LAYER.through).body == SECRET
        daemon.cache.wait_until_whole(sha256(SECRET))
        elsewhere = blob(SECRET, "a/b", EVIL)
        assert ask(daemon.address, "GET", elsewhere.through).body == SECRET
        assert evil.seen.requests(elsewhere.path) == []


# With the proxy's own credentials


def known(*names: str) -> Script:
    """Give the secret image to these users; the others are known, and may not have it."""

    def choose(request: Request) -> Answer:
        (said,) = request.values("Authorization") or ("",)
        if not said:
            return error(401, "UNAUTHORIZED", "who are you?", ("WWW-Authenticate", 'Basic realm="registry"'))
        user = base64.b64decode(said.removeprefix("Basic ")).decode().partition(":")[0]
        if user not in names:
            return error(403, "DENIED", f"{user} may not")
        return content(SECRET) if "/blobs/" in request.target else manifest(DOCUMENT, OCI_MANIFEST)

    return choose


EVERYTHING = (TAG, BY_DIGEST, LAYER)


@pytest.fixture
def guarded(fake: FakeUpstream) -> FakeUpstream:
    give(fake, "strong")
    return fake


def give(fake: FakeUpstream, *names: str) -> None:
    for place in EVERYTHING:
        fake.script(place.path, known(*names))


def pulled(daemon: Daemon) -> None:
    for place, expected in zip(EVERYTHING, (DOCUMENT, DOCUMENT, SECRET), strict=True):
        assert ask(daemon.address, "GET", place.through).body == expected
        daemon.cache.wait_until_whole(sha256(expected))


def refused(daemon: Daemon) -> None:
    for place in EVERYTHING:
        for method in ("GET", "HEAD"):
            assert ask(daemon.address, method, place.through).status == 403, (method, place)


@pytest.mark.parametrize("first", EVERYTHING, ids=["tag", "digest", "blob"])
def test_s12_once_upstream_refuses_one_thing_all_of_the_repository_is_asked_for(
    tmp_path: Path, guarded: FakeUpstream, first: Place
) -> None:
    config = configuration({REGISTRY: Upstream(guarded.url, "strong", "x")}, cache={"tag_ttl": "1ms"})
    with Daemon(tmp_path, config) as daemon:
        pulled(daemon)
        give(guarded, "somebody else")
        if first is not TAG:
            # What is known by its digest is not asked for yet; another thing of the repository is, and is refused.
            assert ask(daemon.address, "GET", first.through).status == 200
            missing = blob(b"missing", "team/secret")
            guarded.script(missing.path, known())
            assert ask(daemon.address, "GET", missing.through).status == 403
        refused(daemon)
        give(guarded, "strong")
        pulled(daemon)


def test_s12_a_permission_has_an_end(tmp_path: Path, guarded: FakeUpstream) -> None:
    config = configuration({REGISTRY: Upstream(guarded.url, "strong", "x")}, cache={"permission_ttl": "1ms"})
    with Daemon(tmp_path, config) as daemon:
        pulled(daemon)
        give(guarded, "somebody else")
        for place in (LAYER, BY_DIGEST):
            assert ask(daemon.address, "GET", place.through).status == 403


@pytest.mark.parametrize("weaker", ["weak", "strong"])
def test_s12_another_account_has_no_permission_of_the_one_before(
    tmp_path: Path, guarded: FakeUpstream, weaker: str
) -> None:
    """Nor has another password of the same user's, which may be a token for less."""
    config = configuration({REGISTRY: Upstream(guarded.url, "strong", "x")})
    with Daemon(tmp_path, config) as daemon:
        pulled(daemon)
        before = len(guarded.seen.requests())
        pulled(daemon)
        assert len(guarded.seen.requests()) == before, "and with the same account nobody is asked"
        give(guarded, "nobody")
        mark = len(daemon.log)
        daemon.reload(configuration({REGISTRY: Upstream(guarded.url, weaker, "y")}))
        daemon.wait_for_log("the configuration was read again", after=mark)
        refused(daemon)


def test_while_upstream_is_away_what_it_gave_is_served(tmp_path: Path, guarded: FakeUpstream) -> None:
    cache = {"permission_ttl": "1ms", "tag_ttl": "1ms"}
    config = configuration({REGISTRY: Upstream(guarded.url, "strong", "x", retries=0)}, cache=cache)
    with Daemon(tmp_path, config) as daemon:
        pulled(daemon)
        guarded.stop()
        for place, expected in zip(EVERYTHING, (DOCUMENT, DOCUMENT, SECRET), strict=True):
            reply = ask(daemon.address, "GET", place.through)
            assert (reply.status, reply.body) == (200, expected)
            assert "Warning" in reply.headers
