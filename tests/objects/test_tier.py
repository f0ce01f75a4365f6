from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore
from twisted.internet.defer import Deferred

from crproxy.objects.errors import NotThere, TierFailed
from crproxy.objects.naming import (
    blob_key,
    link_content,
    link_key,
    revoked_content,
    revoked_key,
    tag_content,
    tag_key,
    view_names,
)
from crproxy.objects.object_store import ObjectStore
from crproxy.objects.tier import ObjectTier, Tier
from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.store.entries import Entry, View
from crproxy.store.notes import Link, TagEntry
from tests.logs import Log
from tests.memory import ended, failure_of
from tests.upstream.conftest import Consumer

CONTENT = b"some content"
DIGEST = Digest.of(CONTENT)
ENTRY = Entry(DIGEST)
NGINX, PRIVATE = View(DOCKER_HUB.repository("nginx")), View(DOCKER_HUB.repository("nginx"), "cred")
QUAY = Registry("quay.io")


@pytest.fixture
def tier(objects: ObjectStore) -> ObjectTier:
    return ObjectTier(objects)


def run(work: Coroutine[Deferred[Any], Any, Any]) -> Any:
    return ended(Deferred.fromCoroutine(work))


def test_it_is_every_tier(tier: Tier) -> None:
    assert tier.is_up


def test_content_is_looked_at_opened_and_read(tier: ObjectTier, memory: MemoryStore) -> None:
    obstore.put(memory, blob_key(ENTRY), CONTENT)
    assert run(tier.size(ENTRY)) == len(CONTENT)
    assert run(tier.read(ENTRY)) == CONTENT
    streamed, consumer = run(tier.open(ENTRY, 5, None)), Consumer()
    assert (streamed.status, streamed.headers["content-range"]) == (206, "bytes 5-11/12")
    ended(streamed.body.join(consumer))
    assert consumer.content == CONTENT[5:]
    assert (tier.answers, tier.bytes_received) == (2, len(CONTENT) + len(CONTENT[5:]))


def test_what_comes_in_many_ranges_is_counted_as_it_comes(tier: ObjectTier, memory: MemoryStore) -> None:
    content = bytes(range(256)) * (6 * 1024 * 4)
    entry = Entry(Digest.of(content))
    obstore.put(memory, blob_key(entry), content)
    streamed, consumer = run(tier.open(entry, 0, None)), Consumer()
    assert tier.bytes_received == 1024 * 1024
    ended(streamed.body.join(consumer))
    assert (tier.answers, tier.bytes_received) == (1, len(content))


def test_what_is_not_there_or_wrong_is_no_answer(tier: ObjectTier, memory: MemoryStore) -> None:
    assert run(tier.read(ENTRY)) is None
    obstore.put(memory, blob_key(ENTRY), b"other conten")
    assert run(tier.read(ENTRY)) is None
    assert (tier.answers, tier.bytes_received) == (0, len(b"other conten"))


def test_content_of_another_pool_is_not_there(tier: Tier, memory: MemoryStore) -> None:
    obstore.put(memory, blob_key(Entry(DIGEST, QUAY)), CONTENT)
    assert run(tier.size(ENTRY)) is None
    assert run(tier.read(ENTRY)) is None
    failure_of(Deferred.fromCoroutine(tier.open(ENTRY, 0, None)), NotThere)
    assert tier.is_up


def test_other_bytes_are_never_read_and_the_object_goes(tier: Tier, memory: MemoryStore) -> None:
    obstore.put(memory, blob_key(ENTRY), b"other conten")
    with Log() as log:
        assert run(tier.read(ENTRY)) is None
    assert log.lines == [f"the object store had other bytes for {DIGEST}: the object is removed"]
    assert run(tier.size(ENTRY)) is None


def test_more_than_a_manifest_is_not_read(tier: Tier, memory: MemoryStore) -> None:
    obstore.put(memory, blob_key(ENTRY), b"a" * (20 * 1024 * 1024 + 1))
    failure_of(Deferred.fromCoroutine(tier.read(ENTRY)), TierFailed)


def test_a_link_is_found_for_its_view_alone(tier: Tier, memory: MemoryStore) -> None:
    link = Link("application/json", 12, 5.0)
    obstore.put(memory, link_key(view_names(NGINX), DIGEST), link_content(link))
    assert run(tier.link(NGINX, DIGEST)) == link
    assert run(tier.link(PRIVATE, DIGEST)) is None
    assert run(tier.link(NGINX, Digest.of(b"other"))) is None


@pytest.mark.parametrize(("confirmed", "counts"), [(4.0, 0.0), (5.0, 0.0), (6.0, 6.0)])
def test_what_was_confirmed_before_a_refusal_does_not_count(
    tier: Tier, memory: MemoryStore, confirmed: float, counts: float
) -> None:
    obstore.put(memory, link_key(view_names(PRIVATE), DIGEST), link_content(Link(None, 12, confirmed)))
    obstore.put(memory, revoked_key(view_names(PRIVATE)), revoked_content(5.0))
    assert run(tier.link(PRIVATE, DIGEST)) == Link(None, 12, counts)


def test_a_tag_is_found_for_its_view_alone(tier: Tier, memory: MemoryStore) -> None:
    for name in ("latest", "before/v1", "tags/list?n=5"):
        obstore.put(memory, tag_key(view_names(NGINX), name), tag_content(TagEntry(DIGEST, 5.0)))
        assert run(tier.tag(NGINX, name)) == TagEntry(DIGEST, 5.0)
        assert run(tier.tag(PRIVATE, name)) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"digest": "x"}', b"\xff", b"{}" * 9000])
def test_what_does_not_parse_is_not_there_and_said_once(tier: Tier, memory: MemoryStore, content: bytes) -> None:
    for name in ("a", "b"):
        obstore.put(memory, tag_key(view_names(NGINX), name), content)
    obstore.put(memory, link_key(view_names(NGINX), DIGEST), content)
    if len(content) > 16 * 1024:
        failure_of(Deferred.fromCoroutine(tier.tag(NGINX, "a")), TierFailed)
        return
    with Log() as log:
        assert run(tier.tag(NGINX, "a")) is None
        assert run(tier.tag(NGINX, "b")) is None
        assert run(tier.link(NGINX, DIGEST)) is None
    assert len(log.lines) == 1
    assert "v1/tags/docker.io/library/nginx/-/-/a in the object store cannot be read" in log.lines[0]


def test_who_had_it(tier: Tier, memory: MemoryStore) -> None:
    seen = {PRIVATE, NGINX, View(NGINX.repository, caller="")}
    for view in seen:
        obstore.put(memory, link_key(view_names(view), DIGEST), link_content(Link()))
    obstore.put(memory, f"v1/links/sha256/{DIGEST.hex}/quay.io/no key", b"")
    assert run(tier.views(DIGEST)) == seen
    assert run(tier.views(Digest.of(b"other"))) == set()


def test_of_many_who_had_it_some_are_named(tier: Tier, memory: MemoryStore) -> None:
    others = {View(QUAY.repository(f"org/{number}")) for number in range(100)}
    for view in others:
        obstore.put(memory, link_key(view_names(view), DIGEST), link_content(Link()))
    found = run(tier.views(DIGEST))
    assert 64 <= len(found) <= 100
    assert found <= others


def test_a_store_without_urls_signs_none(tier: Tier) -> None:
    failure_of(Deferred.fromCoroutine(tier.sign(ENTRY, 60)), TierFailed)


def test_what_is_read_looked_at_or_signed_for_is_used(objects: ObjectStore, memory: MemoryStore) -> None:
    used: list[Entry] = []
    tier, large = ObjectTier(objects, used.append), Digest.of(b"x" * 6_000_000)
    for digest, content in ((DIGEST, CONTENT), (large, b"x" * 6_000_000)):
        obstore.put(memory, blob_key(Entry(digest)), content)
    run(tier.size(ENTRY))
    run(tier.read(ENTRY))
    failure_of(Deferred.fromCoroutine(tier.sign(ENTRY, 60)), TierFailed)
    assert used == [ENTRY] * 3
    # Also while it is read, however long that takes.
    ended(run(tier.open(Entry(large), 0, None)).body.join(Consumer()))
    assert used == [ENTRY] * 3 + [Entry(large)] * 3
    # What is not there, or is something else, is not.
    missing = Entry(DIGEST, QUAY)
    assert run(tier.size(missing)) is None
    obstore.put(memory, blob_key(missing), b"another")
    assert run(tier.read(missing)) is None
    assert used == [ENTRY] * 3 + [Entry(large)] * 3
