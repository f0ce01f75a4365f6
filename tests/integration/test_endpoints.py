"""A registry with a mirror in front of it, through the daemon itself: what the mirror cannot give, the registry does.

Each test has both made for it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from http.client import IncompleteRead
from typing import TYPE_CHECKING

import pytest

from tests.parts.admin_socket import tell
from tests.parts.answers import Answer, Cut, Framing, Stall
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.date import Date
from tests.parts.doctor import examine
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY, Place, blob, manifest_place
from tests.parts.raw_http import Reply, ask, asking
from tests.parts.shapes import challenge, content, error, manifest, ranged, token
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.parts.answers import Gate, Request, Script
    from tests.parts.daemon import Start

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

LAYER = bytes(range(256)) * 4096
OF_LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(LAYER), "size": len(LAYER)}
BODY = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [OF_LAYER]}).encode()
NEWER = BODY + b"\n"
TAG, BY_DIGEST = manifest_place("v1"), manifest_place(sha256(BODY))
TAGS = Place("/v2/team/app/tags/list")
TAG_LIST = Answer(
    headers=(("Content-Type", "application/json"),), body=json.dumps({"name": "team/app", "tags": ["v1"]}).encode()
)
# No time at all has passed is never true: a tag is stale whenever it is asked for again.
STALE = {"tag_ttl": "1ms"}
CUT = (IncompleteRead, OSError)


@pytest.fixture
def mirror() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def own() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        serve(upstream)
        yield upstream


def serve(upstream: FakeUpstream) -> None:
    """Have it all there."""
    upstream.script(TAG.path, manifest(BODY, OCI_MANIFEST))
    upstream.script(BY_DIGEST.path, manifest(BODY, OCI_MANIFEST))
    upstream.script(TAGS.path, TAG_LIST)
    upstream.script(blob(LAYER).path, ranged(LAYER))


def both(mirror: FakeUpstream, own: FakeUpstream, **of_mirror: str | bool) -> dict[str, Upstream]:
    return {REGISTRY: Upstream(endpoints=[{"url": mirror.url, **of_mirror}, own.url])}


def get(daemon: Daemon, place: Place, method: str = "GET", *fields: tuple[str, str]) -> Reply:
    return ask(daemon.address, method, place.through, *fields)


ALL = {TAG: BODY, BY_DIGEST: BODY, TAGS: TAG_LIST.body, blob(LAYER): LAYER}


# The first fails


def test_what_the_mirror_has_comes_from_there(start: Start, mirror: FakeUpstream, own: FakeUpstream) -> None:
    serve(mirror)
    daemon = start(both(mirror, own))
    for place, body in ALL.items():
        assert get(daemon, place).body == body
    assert own.seen.requests() == []


REFUSALS = {
    str(status): error(status, "UNKNOWN", "not here", ("Retry-After", "600"))
    for status in (401, 403, 404, 429, 500, 503)
}
PAGE = Answer(headers=(("Content-Type", "text/html"),), body=b"<!DOCTYPE html><title>Log in to the network</title>")


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_it_refuses_the_registry_gives(
    start: Start, mirror: FakeUpstream, own: FakeUpstream, refusal: str
) -> None:
    for place in ALL:
        mirror.script(place.path, REFUSALS[refusal])
    daemon = start(both(mirror, own))
    for place, body in ALL.items():
        for method in ("HEAD", "GET"):
            reply = get(daemon, place, method)
            assert (reply.status, reply.body) == (200, body if method == "GET" else b""), place
    assert mirror.seen.requests() != []


def test_nor_is_a_page_that_stands_in_for_it_taken_for_an_answer(
    start: Start, mirror: FakeUpstream, own: FakeUpstream
) -> None:
    for place in ALL:
        mirror.script(place.path, PAGE)
    daemon = start(both(mirror, own))
    for place in (TAG, BY_DIGEST, TAGS, blob(LAYER)):
        assert get(daemon, place).body == ALL[place]


def test_one_that_is_off_is_not_noticed_and_not_asked_first_again(
    start: Start, mirror: FakeUpstream, own: FakeUpstream
) -> None:
    mirror.stop()
    daemon = start(both(mirror, own))
    for place, body in ALL.items():
        assert get(daemon, place).body == body
    daemon.wait_for_log(f"{mirror.url} is asked last for 30 s: {REGISTRY} is not available: it refuses connections")


def test_where_both_fail_it_is_the_registrys_word_that_counts(
    start: Start, mirror: FakeUpstream, own: FakeUpstream
) -> None:
    mirror.script(TAG.path, error(403, "DENIED", "the mirror says no"))
    own.script(TAG.path, error(404, "MANIFEST_UNKNOWN", "the registry says no"))
    daemon = start(both(mirror, own))
    reply = get(daemon, TAG)
    assert (reply.status, reply.code) == (404, "MANIFEST_UNKNOWN")
    assert "the registry says no" in reply.message


def test_a_limit_of_the_mirrors_is_not_the_registrys(start: Start, mirror: FakeUpstream, own: FakeUpstream) -> None:
    mirror.script(TAG.path, error(429, "TOOMANYREQUESTS", "slow down", ("Retry-After", "600")))
    daemon = start(both(mirror, own), cache=STALE)
    for _ in range(3):
        assert get(daemon, TAG).body == BODY
    # Its limit is one of GETs or of HEADs, as far as its answer tells.
    assert [request.method for request in mirror.seen.requests(TAG.path)] == ["GET", "HEAD"]


def test_a_silent_one_is_waited_for_once_and_not_for_long(
    start: Start, mirror: FakeUpstream, own: FakeUpstream, gate: Gate
) -> None:
    for place in ALL:
        mirror.script(place.path, Answer(fault=Stall(gate)))
    daemon = start(both(mirror, own))
    for place, body in ALL.items():
        assert get(daemon, place).body == body
    daemon.wait_for_log("is asked last for 30 s: it has not answered for 3 s")
    assert len(mirror.seen.requests("/v2/team/app/")) == 1


def test_one_that_is_slow_is_asked_again_where_the_registry_fails(
    start: Start, mirror: FakeUpstream, own: FakeUpstream, gate: Gate
) -> None:
    mirror.script(TAG.path, Answer(fault=Stall(gate)), manifest(BODY, OCI_MANIFEST))
    own.script(TAG.path, error(404, "MANIFEST_UNKNOWN"))
    assert get(start(both(mirror, own)), TAG).body == BODY
    assert len(mirror.seen.requests(TAG.path)) == 2


# It rests for half a minute, by the date


def test_a_rest_ends(tmp_path: Path, mirror: FakeUpstream, own: FakeUpstream) -> None:
    date = Date(tmp_path)
    serve(mirror)
    mirror.script(TAG.path, Answer(503))
    config = configuration(both(mirror, own), cache=STALE)
    with Daemon(tmp_path, config, environment=date.environment) as daemon:
        for _ in range(3):
            assert get(daemon, TAG).body == BODY
        asked = len(mirror.seen.requests(TAG.path))
        # One retry: what was kept of a connection may have been gone.
        assert asked == 2
        mirror.script(TAG.path, manifest(NEWER, OCI_MANIFEST))
        assert get(daemon, TAG).body == BODY
        assert len(mirror.seen.requests(TAG.path)) == asked
        date.set(31)
        assert get(daemon, TAG).body == NEWER


# Bodies that are cut


@pytest.mark.parametrize("fault", [Cut(len(LAYER) // 2), Cut(len(LAYER) // 2, reset=True), Cut(0), Cut(len(LAYER) - 1)])
def test_a_body_that_is_cut_goes_on_at_the_registry(
    start: Start, mirror: FakeUpstream, own: FakeUpstream, fault: Cut
) -> None:
    mirror.script(blob(LAYER).path, ranged(LAYER, fault, faulty=True))
    daemon = start(both(mirror, own))
    assert get(daemon, blob(LAYER)).body == LAYER
    daemon.cache.wait_until_whole(sha256(LAYER))
    assert len(mirror.seen.requests(blob(LAYER).path)) == 1
    (asked,) = own.seen.requests(blob(LAYER).path)
    (wanted,) = asked.values("Range") or ["bytes=0-"]
    begun = int(wanted.removeprefix("bytes=").removesuffix("-"))
    # As much as had come before, and nothing twice.
    assert begun <= fault.at
    assert own.seen.all_sent(blob(LAYER).path, len(LAYER) - begun) == len(LAYER) - begun


def test_so_does_one_that_is_not_kept(tmp_path: Path, mirror: FakeUpstream, own: FakeUpstream) -> None:
    mirror.script(blob(LAYER).path, ranged(LAYER, Cut(len(LAYER) // 2)))
    with Daemon(tmp_path, configuration(both(mirror, own), cache={"size": "100K"})) as daemon:
        assert get(daemon, blob(LAYER)).body == LAYER
        part = get(daemon, blob(LAYER), "GET", ("Range", "bytes=1000-1999"))
        assert (part.status, part.body) == (206, LAYER[1000:2000])


def test_who_leaves_in_the_middle_says_nothing_of_the_mirror(
    start: Start, mirror: FakeUpstream, own: FakeUpstream, gate: Gate
) -> None:
    """Its connection is closed by us."""
    mirror.script(blob(LAYER).path, content(LAYER, fault=Stall(gate, 1000)))
    mirror.script(TAG.path, manifest(BODY, OCI_MANIFEST))
    daemon = start(both(mirror, own))
    with asking(daemon.address, "GET", blob(LAYER).through, ("Range", "bytes=500-")):
        mirror.seen.wait_for_request(blob(LAYER).path)
    assert get(daemon, TAG).body == BODY
    assert len(mirror.seen.requests(TAG.path)) == 1


# A mirror that lags behind


def test_a_lagging_mirror_decides_no_tag_and_gives_bytes(start: Start, mirror: FakeUpstream, own: FakeUpstream) -> None:
    serve(mirror)
    daemon = start(both(mirror, own, trust_tags=False), cache=STALE)
    assert get(daemon, TAG).body == BODY
    assert get(daemon, blob(LAYER)).body == LAYER
    # The registry said which one it is, and nothing more.
    assert {request.method for request in own.seen.requests()} == {"HEAD"}
    own.script(TAG.path, manifest(NEWER, OCI_MANIFEST))
    own.script(manifest_place(sha256(NEWER)).path, manifest(NEWER, OCI_MANIFEST))
    for method in ("HEAD", "GET", "GET"):
        reply = get(daemon, TAG, method)
        assert reply.headers["Docker-Content-Digest"] == sha256(NEWER)
    assert get(daemon, TAGS).body == TAG_LIST.body
    assert mirror.seen.requests(TAG.path) == mirror.seen.requests(TAGS.path) == []
    assert len(mirror.seen.requests(blob(LAYER).path)) == 1
    assert own.seen.requests(blob(LAYER).path) == []


def test_nor_does_it_where_the_registry_is_gone(start: Start, mirror: FakeUpstream, own: FakeUpstream) -> None:
    serve(mirror)
    own.stop()
    daemon = start(both(mirror, own, trust_tags=False))
    for place in (TAG, TAGS):
        assert get(daemon, place).status == 503
    assert get(daemon, BY_DIGEST).body == BODY
    assert get(daemon, blob(LAYER)).body == LAYER


# Wrong bytes


def test_after_wrong_bytes_the_next_are_right(start: Start, mirror: FakeUpstream, own: FakeUpstream) -> None:
    mirror.script(blob(LAYER).path, ranged(LAYER[::-1]))
    daemon = start(both(mirror, own))
    with pytest.raises(CUT):
        get(daemon, blob(LAYER))
    daemon.wait_for_log(f"{mirror.url} sent other bytes than those of {sha256(LAYER)}")
    assert sha256(LAYER) not in daemon.cache.whole()
    for _ in range(3):
        assert get(daemon, blob(LAYER)).body == LAYER
    daemon.cache.wait_until_whole(sha256(LAYER))
    assert len(mirror.seen.requests(blob(LAYER).path)) == 1


def test_also_where_nothing_is_kept(tmp_path: Path, mirror: FakeUpstream, own: FakeUpstream) -> None:
    """What passes through unseen is looked at by the client alone; what has no length is looked at here."""
    mirror.script(blob(LAYER).path, replace(content(LAYER[::-1]), framing=Framing.CHUNKED))
    with Daemon(tmp_path, configuration(both(mirror, own), cache={"size": "100K"})) as daemon:
        with pytest.raises(CUT):
            get(daemon, blob(LAYER))
        assert get(daemon, blob(LAYER)).body == LAYER


def test_another_manifest_than_was_asked_for_is_never_given(
    start: Start, mirror: FakeUpstream, own: FakeUpstream
) -> None:
    mirror.script(BY_DIGEST.path, manifest(NEWER, OCI_MANIFEST))
    daemon = start(both(mirror, own))
    assert get(daemon, BY_DIGEST).body == BODY
    daemon.wait_for_log("sent other bytes than those of")


# Logins

USER = b64encode(b"me:secret").decode()


def only_for(authorization: str, answer: Script) -> Script:
    def script(request: Request) -> Answer:
        if request.values("Authorization") != [authorization]:
            return error(401, "UNAUTHORIZED", "who are you", ("WWW-Authenticate", 'Basic realm="registry"'))
        return answer if isinstance(answer, Answer) else answer(request)

    return script


@pytest.mark.security("S5")
def test_a_login_never_reaches_the_mirror(start: Start, mirror: FakeUpstream, own: FakeUpstream) -> None:
    """Not even one that names the registry's own token service."""
    scope = "repository:team/app:pull"
    for place in ALL:
        mirror.script(place.path, challenge(f"{own.url}/token", "registry", scope))
    own.script("/token", token("of-nobody"))
    answers: Mapping[Place, Script] = {
        TAG: manifest(BODY, OCI_MANIFEST),
        BY_DIGEST: manifest(BODY, OCI_MANIFEST),
        TAGS: TAG_LIST,
        blob(LAYER): ranged(LAYER),
    }
    for place, answer in answers.items():
        own.script(place.path, only_for(f"Basic {USER}", answer))
    login = {"url": own.url, "username": "me", "password": "secret"}
    daemon = start({REGISTRY: Upstream(endpoints=[mirror.url, login])})
    for place, body in ALL.items():
        assert get(daemon, place).body == body
    given = {value for request in mirror.seen.requests() for value in request.values("Authorization")}
    assert given <= {"Bearer of-nobody"}
    # Who asked for that token did not say who it is.
    assert all(request.values("Authorization") == [] for request in own.seen.requests("/token"))


def test_each_has_its_own(start: Start, mirror: FakeUpstream, own: FakeUpstream) -> None:
    theirs = b64encode(b"puller:other").decode()
    mirror.script(blob(LAYER).path, only_for(f"Basic {theirs}", ranged(LAYER, Cut(1000))))
    own.script(blob(LAYER).path, only_for(f"Basic {USER}", ranged(LAYER)))
    endpoints = [
        {"url": mirror.url, "username": "puller", "password": "other"},
        {"url": own.url, "username": "me", "password": "secret"},
    ]
    daemon = start({REGISTRY: Upstream(endpoints=endpoints)})
    assert get(daemon, blob(LAYER)).body == LAYER
    shown = [{v for r in one.seen.requests() for v in r.values("Authorization")} for one in (mirror, own)]
    assert shown == [{f"Basic {theirs}"}, {f"Basic {USER}"}]


@pytest.mark.security("S12")
def test_what_a_login_opened_is_not_served_after_it_was_refused(
    start: Start, mirror: FakeUpstream, own: FakeUpstream
) -> None:
    """Though a mirror behind it cannot be asked, upon which other things are served stale."""
    own.script(TAG.path, only_for(f"Basic {USER}", manifest(BODY, OCI_MANIFEST)))
    mirror.stop()
    login = {"url": own.url, "username": "me", "password": "secret"}
    daemon = start({REGISTRY: Upstream(endpoints=[login, mirror.url])}, cache=STALE | {"patience": "30s"})
    assert get(daemon, TAG).body == BODY
    own.script(TAG.path, error(403, "DENIED", "not any more"))
    reply = get(daemon, TAG)
    assert (reply.status, "not any more" in reply.message) == (403, True)


# A configuration that is read again


def test_other_endpoints_count_after_a_reload(tmp_path: Path, mirror: FakeUpstream, own: FakeUpstream) -> None:
    serve(mirror)
    with Daemon(tmp_path, configuration(both(mirror, own), cache=STALE)) as daemon:
        assert get(daemon, TAG).body == BODY
        assert own.seen.requests() == []
        daemon.reload(configuration(both(own, mirror), cache=STALE))
        daemon.wait_for_log(rf"{REGISTRY} changed \(endpoint, private_hosts\)|{REGISTRY} changed \(endpoint\)")
        until(lambda: get(daemon, TAG).status == 200 and own.seen.requests() != [])
        asked = len(mirror.seen.requests())
        seen = len(daemon.log)
        daemon.reload(configuration({REGISTRY: Upstream(own.url)}, cache=STALE))
        daemon.wait_for_log("was read again", after=seen)
        mirror.stop()
        for _ in range(3):
            assert get(daemon, TAG).body == BODY
        assert len(mirror.seen.requests()) == asked


# What the operator is told


def test_the_doctor_and_monitoring_name_each(tmp_path: Path, mirror: FakeUpstream, own: FakeUpstream) -> None:
    mirror.stop()
    config = configuration({**both(mirror, own), "docker.io": Upstream(own.url)}) + "[page]\nstate = true\n"
    with Daemon(tmp_path, config) as daemon:
        assert get(daemon, TAG).body == BODY
        told = tell(daemon.data_dir / "admin.sock", "GET", "/metrics").body.decode()
        lines = [line for line in told.splitlines() if line.startswith("crproxy_upstream_") and "_up{" in line]
        assert sorted(lines) == [
            *sorted(
                f'crproxy_upstream_endpoint_up{{endpoint="{one.url}",registry="{REGISTRY}"}} {up}'
                for one, up in ((mirror, 0.0), (own, 1.0))
            ),
            f'crproxy_upstream_up{{registry="{REGISTRY}"}} 1.0',
        ]
        page = ask(daemon.address, "GET", "/", ("Accept", "text/html")).body.decode()
        assert f"{REGISTRY} ({mirror.url})" in page
        found = examine(tmp_path, "--config", str(daemon.file), "--upstream", REGISTRY).about("upstreams")
    outcomes = {one.subject: one.outcome for one in found}
    assert outcomes[f"{REGISTRY} at {mirror.url}: connection"] == "failed"
    assert outcomes[f"{REGISTRY} at {own.url}: connection"] == "ok"
