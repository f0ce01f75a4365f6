"""Blobs that were found on disk, and that nobody has read: never served as they are."""

from __future__ import annotations

import errno
import os

import pytest
from twisted.internet.defer import Deferred

from crproxy.flights import NotKept
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.routes import BlobRequest
from crproxy.pullthrough import PullThrough, Reply
from crproxy.store.entries import Entry, View
from crproxy.store.store import Store
from tests.memory import ended, failure_of, not_yet
from tests.pullthrough.conftest import REPOSITORY, Ask, Client, body_of
from tests.sources import HandSource
from tests.store.test_filling import Later
from tests.stores import HandRules
from tests.upstream.conftest import Consumer

CONTENT = bytes(range(10)) * 10
DIGEST = Digest.of(CONTENT)
ENTRY = Entry(DIGEST)
WANTED = BlobRequest("x", DIGEST)
DAMAGED = CONTENT[:50] + b"x" + CONTENT[51:]
DAMAGES = [DAMAGED, b"", CONTENT[:-1], CONTENT + b"x"]
IDS = ["flipped", "empty", "cut short", "longer"]
DOWN = RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=1)


@pytest.fixture
def source(client: Client) -> HandSource:
    client.holds(CONTENT)
    return client.blobs[DIGEST]


@pytest.fixture
def given(store: Store) -> None:
    """This repository may have it."""
    store.index.link(View(REPOSITORY), DIGEST, size=len(CONTENT))


def found(store: Store, content: bytes, *, taken_up: bool = True, entry: Entry = ENTRY) -> None:
    store.blobs.keep(entry).write_bytes(content)
    if taken_up:
        store.index.found(entry, len(content))


def brought(source: HandSource, asking: Deferred[Reply]) -> tuple[Reply, bytes]:
    """What came, after upstream has sent all of it."""
    body = source.answer()
    reply = ended(asking)
    consumer = Consumer()
    done = reply.body.join(consumer)
    body.send(CONTENT)
    body.end()
    ended(done)
    return reply, consumer.content


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("taken_up", [True, False], ids=["taken up", "not yet"])
def test_what_is_right_is_served_once_it_was_read(client: Client, store: Store, ask: Ask, taken_up: bool) -> None:
    found(store, CONTENT, taken_up=taken_up)
    for _ in range(2):
        reply = ended(ask(WANTED))
        assert (reply.status, reply.headers["Cache-Status"], body_of(reply)) == (200, "crproxy; hit", CONTENT)
    assert ended(ask(WANTED, "HEAD")).body.length == 100
    assert (client.asked, store.checks.number) == ([], 1)


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("taken_up", [True, False], ids=["taken up", "not yet"])
@pytest.mark.parametrize("damage", DAMAGES, ids=IDS)
def test_what_is_damaged_comes_anew(
    client: Client, source: HandSource, store: Store, ask: Ask, damage: bytes, taken_up: bool
) -> None:
    found(store, damage, taken_up=taken_up)
    reply, content = brought(source, ask(WANTED))
    assert (reply.headers["Cache-Status"], content) == ("crproxy; fwd=uri-miss; stored", CONTENT)
    assert body_of(ended(ask(WANTED))) == CONTENT
    assert client.questions == ["blob"]
    assert store.checks.damaged == 1


@pytest.mark.usefixtures("given")
def test_of_a_part_no_byte_is_served_before_all_of_it_was_read(store: Store, ask: Ask, source: HandSource) -> None:
    """A part says nothing of itself: a client that asks for one after the other has no digest of each."""
    later = Later()
    store.checks._threads = later
    found(store, CONTENT)
    asking = ask(WANTED, headers={"range": "bytes=0-9"})
    while later.waiting:
        not_yet(asking)
        later.work()
    reply = ended(asking)
    assert (reply.status, body_of(reply)) == (206, CONTENT[:10])


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("damage", DAMAGES, ids=IDS)
def test_a_head_tells_no_size_of_what_is_damaged(
    client: Client, source: HandSource, store: Store, ask: Ask, damage: bytes
) -> None:
    found(store, damage)
    reply = ended(ask(WANTED, "HEAD"))
    assert (reply.body.length, client.questions) == (100, ["head_blob"])


def test_bytes_that_are_nobodys_come_from_upstream_and_are_not_read_for_it(
    client: Client, source: HandSource, store: Store, ask: Ask
) -> None:
    """As after the index was lost: which registry gave them is to be shown first."""
    found(store, DAMAGED)
    _, content = brought(source, ask(WANTED))
    assert (content, store.checks.number) == (CONTENT, 0)
    _, content = brought(source, ask(WANTED))
    assert (content, store.checks.damaged) == (CONTENT, 1)


def test_of_a_registrys_own_pool_its_word_is_enough_once_it_was_read(
    client: Client, store: Store, source: HandSource, ask: Ask, rules: HandRules
) -> None:
    rules.credentials[REPOSITORY.registry] = "strong"
    found(store, CONTENT, entry=Entry(DIGEST, REPOSITORY.registry))
    reply = ended(ask(WANTED))
    assert body_of(reply) == CONTENT
    # Once, though it is looked at twice.
    assert (client.questions, store.checks.number) == (["head_blob"], 1)


@pytest.mark.usefixtures("given")
def test_upstream_that_is_down_gives_nothing_for_what_is_damaged(client: Client, store: Store, ask: Ask) -> None:
    found(store, DAMAGED)
    client.error = DOWN
    assert failure_of(ask(WANTED), RegistryError) is DOWN


@pytest.mark.usefixtures("given")
def test_many_wait_for_one_reading(store: Store, client: Client, source: HandSource, ask: Ask) -> None:
    later = Later()
    store.checks._threads = later
    found(store, CONTENT)
    asking = [ask(WANTED) for _ in range(3)]
    asking[0].cancel()
    while later.waiting:
        later.work()
    assert [body_of(ended(one)) for one in asking[1:]] == [CONTENT] * 2
    assert (store.checks.number, client.asked) == (1, [])
    asking[0].addErrback(lambda _: None)


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("unremovable", [False, True])
def test_what_can_neither_be_read_nor_removed_comes_from_upstream_each_time(
    client: Client,
    source: HandSource,
    store: Store,
    ask: Ask,
    pullthrough: PullThrough,
    monkeypatch: pytest.MonkeyPatch,
    unremovable: bool,
) -> None:
    found(store, DAMAGED)

    def fail(*_: object) -> None:
        raise OSError(errno.EROFS if unremovable else errno.EACCES, "x")

    if unremovable:
        monkeypatch.setattr(store.blobs, "remove", fail)
    else:
        monkeypatch.setattr(os, "preadv", fail)
    for _ in range(2):
        _, content = brought(source, ask(WANTED))
        assert content == CONTENT
    assert ended(ask(WANTED, "HEAD")).body.length == 100
    failure_of(Deferred.fromCoroutine(pullthrough.fetch(REPOSITORY, DIGEST)), NotKept)


# Warming


@pytest.mark.usefixtures("given")
def test_what_is_pulled_for_nobody_is_read_first(store: Store, pullthrough: PullThrough) -> None:
    found(store, CONTENT)
    assert ended(Deferred.fromCoroutine(pullthrough.fetch(REPOSITORY, DIGEST))) is None
    assert store.checks.number == 1


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("damage", DAMAGES, ids=IDS)
def test_what_is_pulled_for_nobody_comes_anew_where_it_is_damaged(
    source: HandSource, store: Store, pullthrough: PullThrough, damage: bytes
) -> None:
    found(store, damage)
    fetching = Deferred.fromCoroutine(pullthrough.fetch(REPOSITORY, DIGEST))
    body = source.answer()
    body.send(CONTENT)
    body.end()
    assert ended(fetching) is not None
    assert store.blobs.keep(ENTRY).read_bytes() == CONTENT
