"""A node with an empty disk, and what the others know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Tag
from crproxy.oci.routes import BlobRequest, ManifestRequest, ReferrersRequest, TagsRequest
from crproxy.pullthrough import Asked, PullThrough, Reply
from crproxy.store.entries import Entry, View
from crproxy.store.notes import Link, TagEntry
from crproxy.store.store import Store
from tests.commons import HandCommons
from tests.memory import ended, failure_of, not_yet
from tests.pullthrough.conftest import OTHER, PATH, REPOSITORY, Ask, Client, body_of
from tests.stores import HandRules, make_store, pull_through
from tests.upstream.conftest import Consumer

MANIFEST = b'{"schemaVersion": 2}'
BLOB = bytes(range(100))
NAMED, LAYER = Digest.of(MANIFEST), Digest.of(BLOB)
TAG = Tag("v1")
VIEW = View(REPOSITORY)
DOWN = RegistryError(ErrorCode.UNAVAILABLE, "down")

ContentOf = Callable[[Deferred[Reply]], bytes]


@pytest.fixture
def commons(clock: Clock) -> HandCommons:
    return HandCommons(clock)


@pytest.fixture
def pullthrough(client: Client, store: Store, clock: Clock, rules: HandRules, commons: HandCommons) -> PullThrough:
    return pull_through(client, store, clock, rules, commons=commons)


@pytest.fixture
def first_node(tmp_path: Path, clock: Clock, client: Client, commons: HandCommons, rules: HandRules) -> Store:
    """Another node has pulled all of it, and what it knows all may know. Then upstream goes."""
    store = make_store(tmp_path / "first", clock)
    node = pull_through(client, store, clock, rules)
    client.tagged(TAG, MANIFEST)
    client.holds(BLOB)
    client.list = b'{"name": "org/name", "tags": ["v1"]}'

    def ask(request: object) -> Deferred[Reply]:
        asked = Asked("GET", PATH)
        return Deferred.fromCoroutine(node.answer(REPOSITORY, request, asked))  # type: ignore[arg-type]

    ended(ask(ManifestRequest("x", TAG)))
    asking = ask(BlobRequest("x", LAYER))
    client.blobs[LAYER].send_all()
    body_of(ended(asking))
    body_of(ended(ask(TagsRequest("x"))))
    body_of(ended(ask(ReferrersRequest("x", NAMED))))
    names = ["v1", "tags/list?", f"referrers/{NAMED}?"]
    commons.take_all_of(store, VIEW, *names)
    client.error = DOWN
    client.asked.clear()
    return store


@pytest.fixture
def content_of(clock: Clock) -> ContentOf:
    """The whole body of an answer that is waited for."""

    def content_of(asking: Deferred[Reply]) -> bytes:
        clock.advance(0)
        consumer = Consumer()
        done = ended(asking).body.join(consumer)
        clock.advance(0)
        ended(done)
        return consumer.content

    return content_of


@pytest.mark.usefixtures("first_node")
def test_a_new_node_serves_what_the_others_have_without_upstream(
    ask: Ask, client: Client, content_of: ContentOf
) -> None:
    reply = ended(ask(ManifestRequest("x", TAG)))
    assert (reply.status, body_of(reply)) == (200, MANIFEST)
    assert body_of(ended(ask(ManifestRequest("x", NAMED)))) == MANIFEST
    assert content_of(ask(BlobRequest("x", LAYER))) == BLOB
    assert b'"v1"' in body_of(ended(ask(TagsRequest("x"))))
    assert ended(ask(ReferrersRequest("x", NAMED))).status == 200
    assert client.asked == []


@pytest.mark.usefixtures("first_node")
def test_a_head_of_what_others_have_says_its_size(ask: Ask, client: Client) -> None:
    reply = ended(ask(BlobRequest("x", LAYER), "HEAD"))
    assert (reply.status, reply.body.length) == (200, len(BLOB))
    assert client.asked == []


@pytest.mark.usefixtures("first_node")
@pytest.mark.parametrize(("ranges", "part"), [("bytes=90-", BLOB[90:]), ("bytes=10-19", BLOB[10:20])])
def test_parts_of_what_others_have_come_from_there(
    ask: Ask, client: Client, ranges: str, part: bytes, content_of: ContentOf
) -> None:
    asking = ask(BlobRequest("x", LAYER), headers={"range": ranges})
    assert content_of(asking) == part
    assert client.asked == []


@pytest.mark.usefixtures("first_node")
def test_several_parts_of_what_others_have_come_from_there(ask: Ask, client: Client, content_of: ContentOf) -> None:
    content = content_of(ask(BlobRequest("x", LAYER), headers={"range": "bytes=10-11,90-91"}))
    assert BLOB[10:12] in content
    assert BLOB[90:92] in content
    assert client.asked == []


@pytest.mark.usefixtures("first_node")
def test_a_tag_whose_time_is_over_is_stale_on_a_new_node_too(ask: Ask, clock: Clock) -> None:
    clock.advance(3600)
    reply = ended(ask(ManifestRequest("x", TAG)))
    assert body_of(reply) == MANIFEST
    assert "last checked 60 min ago" in reply.headers["Warning"]


@pytest.mark.usefixtures("first_node")
def test_another_repository_has_no_right_to_it(ask: Ask, rules: HandRules) -> None:
    rules.closed.add(REPOSITORY)
    for request in (BlobRequest("x", LAYER), ManifestRequest("x", NAMED)):
        assert failure_of(ask(request, repository=OTHER), RegistryError) is DOWN


@pytest.mark.usefixtures("first_node")
def test_another_repository_has_it_by_upstreams_word(
    ask: Ask, client: Client, rules: HandRules, content_of: ContentOf
) -> None:
    rules.closed.add(REPOSITORY)
    client.error = None
    asking = ask(BlobRequest("x", LAYER), repository=OTHER)
    assert content_of(asking) == BLOB
    assert client.questions == ["head_blob"]


def test_a_credential_that_was_confirmed_elsewhere_counts_as_long_as_here(
    ask: Ask, client: Client, commons: HandCommons, rules: HandRules, clock: Clock
) -> None:
    rules.credentials[REPOSITORY.registry] = "own"
    view = View(REPOSITORY, "own")
    entry = Entry(NAMED, REPOSITORY.registry)
    commons.links[view, NAMED] = Link("application/vnd.oci.image.manifest.v1+json", len(MANIFEST), clock.seconds())
    commons.contents[entry] = MANIFEST
    assert body_of(ended(ask(ManifestRequest("x", NAMED)))) == MANIFEST
    assert client.asked == []
    clock.advance(86400)
    client.error = RegistryError(ErrorCode.DENIED, "no more")
    failure_of(ask(ManifestRequest("x", NAMED)), RegistryError)


def test_what_is_known_better_here_stays(ask: Ask, client: Client, commons: HandCommons, clock: Clock) -> None:
    client.tagged(TAG, MANIFEST)
    ended(ask(ManifestRequest("x", TAG)))
    commons.tags[VIEW, "v1"] = TagEntry(Digest.of(b"older"), clock.seconds() - 10)
    clock.advance(3600)
    client.error = DOWN
    assert body_of(ended(ask(ManifestRequest("x", TAG)))) == MANIFEST


def test_a_tag_that_another_node_has_checked_need_not_be_asked_for(
    ask: Ask, client: Client, commons: HandCommons, clock: Clock
) -> None:
    client.tagged(TAG, MANIFEST)
    ended(ask(ManifestRequest("x", TAG)))
    clock.advance(3600)
    commons.tags[VIEW, "v1"] = TagEntry(NAMED, clock.seconds() - 1)
    client.asked.clear()
    reply = ended(ask(ManifestRequest("x", TAG)))
    assert (body_of(reply), client.asked) == (MANIFEST, [])


@pytest.mark.usefixtures("first_node")
def test_nobody_is_asked_for_what_is_known_here(ask: Ask, commons: HandCommons) -> None:
    ended(ask(ManifestRequest("x", TAG)))
    commons.asked.clear()
    ended(ask(ManifestRequest("x", TAG)))
    ended(ask(ManifestRequest("x", NAMED)))
    assert commons.asked == []


def test_nobody_is_asked_again_and_again_for_what_nobody_knows(
    ask: Ask, client: Client, commons: HandCommons, clock: Clock
) -> None:
    client.error = DOWN
    for _ in range(3):
        failure_of(ask(ManifestRequest("x", TAG)), RegistryError)
    assert commons.asked == ["tag v1", "tag before/v1"]
    clock.advance(10)
    failure_of(ask(ManifestRequest("x", TAG)), RegistryError)
    assert len(commons.asked) == 4


@pytest.mark.usefixtures("first_node")
def test_where_the_others_cannot_be_asked_upstream_is(ask: Ask, client: Client, commons: HandCommons) -> None:
    commons.away = True
    client.error = None
    assert body_of(ended(ask(ManifestRequest("x", TAG)))) == MANIFEST
    asking = ask(BlobRequest("x", LAYER))
    client.blobs[LAYER].send_all()
    assert body_of(ended(asking)) == BLOB


@pytest.mark.usefixtures("first_node")
def test_what_the_others_take_long_for_is_not_waited_for(
    ask: Ask, client: Client, commons: HandCommons, clock: Clock
) -> None:
    commons.waiting = Deferred()
    client.error = None
    asking = ask(ManifestRequest("x", NAMED))
    assert not_yet(asking)
    clock.advance(2)
    assert body_of(ended(asking)) == MANIFEST
    commons.waiting.callback(None)


def test_what_a_tag_was_before_it_moved_is_known_to_all(
    ask: Ask, client: Client, commons: HandCommons, clock: Clock
) -> None:
    commons.tags[VIEW, "v1"] = TagEntry(Digest.of(b"nobody fetched it"), clock.seconds() - 1000)
    commons.tags[VIEW, "before/v1"] = TagEntry(NAMED, clock.seconds() - 2000)
    commons.links[VIEW, NAMED] = Link("application/vnd.oci.image.manifest.v1+json", len(MANIFEST), 1.0)
    commons.contents[Entry(NAMED)] = MANIFEST
    client.error = DOWN
    assert body_of(ended(ask(ManifestRequest("x", TAG)))) == MANIFEST


@pytest.mark.usefixtures("first_node")
def test_what_a_clients_own_credentials_open_is_asked_upstream(ask: Ask, commons: HandCommons, client: Client) -> None:
    failure_of(ask(ManifestRequest("x", NAMED), caller="Basic x"), RegistryError)
    assert commons.asked == []
