from __future__ import annotations

import errno

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry
from crproxy.oci.routes import BlobRequest
from crproxy.pullthrough import Reply, Unsent
from crproxy.store.blobs import Partial, WrongContent
from crproxy.store.entries import Entry, View
from crproxy.store.store import Store
from tests.memory import ended, failure_of, not_yet
from tests.pullthrough.conftest import OTHER, REPOSITORY, Ask, Client, body_of
from tests.sources import HandSource
from tests.stores import MIB
from tests.upstream.conftest import Consumer

CONTENT = bytes(range(10)) * 10
DIGEST = Digest.of(CONTENT)
WANTED = BlobRequest("x", DIGEST)
DENIED = RegistryError(ErrorCode.DENIED, "no")
GONE = RegistryError(ErrorCode.BLOB_UNKNOWN, "not there")


@pytest.fixture
def source(client: Client) -> HandSource:
    client.holds(CONTENT)
    return client.blobs[DIGEST]


@pytest.fixture
def stored(store: Store, source: HandSource) -> Entry:
    """The blob is here, and nobody has a right to it yet."""
    entry = Entry(DIGEST)
    ended(store.keep(entry, CONTENT))
    return entry


def status_of(reply: Reply) -> str:
    assert reply.headers["Docker-Content-Digest"] == str(DIGEST)
    assert reply.headers["ETag"] == f'"{DIGEST}"'
    assert reply.headers["Accept-Ranges"] == "bytes"
    return reply.headers["Cache-Status"]


def reading(reply: Reply) -> tuple[Consumer, Deferred[None]]:
    consumer = Consumer()
    return consumer, reply.body.join(consumer)


# GET


def test_a_blob_is_fetched_once(client: Client, source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED)
    body = source.answer()
    reply = ended(asking)
    assert (reply.status, status_of(reply), reply.body.length) == (200, "crproxy; fwd=uri-miss; stored", 100)
    consumer, done = reading(reply)
    body.send(CONTENT[:50])
    assert consumer.content == CONTENT[:50]
    body.send(CONTENT[50:])
    body.end()
    ended(done)
    again = ended(ask(WANTED))
    assert (again.status, status_of(again), body_of(again)) == (200, "crproxy; hit", CONTENT)
    assert client.asked == [("blob", REPOSITORY, DIGEST, 0, None)]


def test_many_share_one_fetch(client: Client, source: HandSource, ask: Ask) -> None:
    first, second = ask(WANTED), ask(WANTED)
    body = source.answer()
    third = ask(WANTED)
    replies = [ended(asking) for asking in (first, second, third)]
    assert [status_of(reply) for reply in replies] == [
        "crproxy; fwd=uri-miss; stored",
        "crproxy; fwd=uri-miss; collapsed; stored",
        "crproxy; fwd=uri-miss; collapsed; stored",
    ]
    reads = [reading(reply) for reply in replies]
    body.send(CONTENT)
    body.end()
    assert [consumer.content for consumer, _ in reads] == [CONTENT] * 3
    assert client.questions == ["blob"]


def test_a_length_that_nobody_says_is_not_made_up(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED)
    body = source.answer(length=None)
    reply = ended(asking)
    assert reply.body.length is None
    consumer, _ = reading(reply)
    body.send(CONTENT)
    body.end()
    assert consumer.content == CONTENT


def test_a_refusal_is_passed_on(client: Client, source: HandSource, ask: Ask, store: Store) -> None:
    client.error = GONE
    assert failure_of(ask(WANTED), RegistryError) is GONE
    assert store.index.linked(View(REPOSITORY), DIGEST) is None


# HEAD


def test_a_head_is_one_head_upstream(client: Client, source: HandSource, ask: Ask) -> None:
    reply = ended(ask(WANTED, "HEAD"))
    assert (reply.status, status_of(reply), reply.body) == (200, "crproxy; fwd=uri-miss", Unsent(100))
    assert client.asked == [("head_blob", REPOSITORY, DIGEST)]


def test_a_head_of_what_is_kept_asks_nobody(client: Client, stored: Entry, ask: Ask) -> None:
    ended(ask(WANTED, "HEAD"))
    reply = ended(ask(WANTED, "HEAD"))
    assert (status_of(reply), reply.body) == ("crproxy; hit", Unsent(100))
    assert client.questions == ["head_blob"]


@pytest.mark.parametrize("length", ["-1", "x", "1, 1", "٣"])
def test_a_length_that_is_no_number_is_none(client: Client, ask: Ask, length: str) -> None:
    client.header = {"content-length": length}
    assert ended(ask(WANTED, "HEAD")).body == Unsent(None)


def test_a_head_that_is_refused_is_refused(client: Client, stored: Entry, ask: Ask) -> None:
    client.error = DENIED
    assert failure_of(ask(WANTED, "HEAD"), RegistryError) is DENIED


# Who may have it


@pytest.mark.security("S11")
def test_a_repository_asks_before_it_is_served_what_another_brought(client: Client, stored: Entry, ask: Ask) -> None:
    reply = ended(ask(WANTED))
    assert (status_of(reply), body_of(reply)) == ("crproxy; hit; detail=revalidated", CONTENT)
    reply = ended(ask(WANTED))
    assert (status_of(reply), body_of(reply)) == ("crproxy; hit", CONTENT)
    assert client.questions == ["head_blob"]


@pytest.mark.security("S11")
def test_who_may_not_have_it_is_refused(client: Client, stored: Entry, ask: Ask) -> None:
    client.error = DENIED
    assert failure_of(ask(WANTED), RegistryError) is DENIED


def test_many_ask_for_leave_once(client: Client, stored: Entry, ask: Ask) -> None:
    client.waiting = Deferred()
    asking = [ask(WANTED), ask(WANTED, "HEAD"), ask(WANTED)]
    client.waiting.callback(None)
    for asked in asking:
        ended(asked).body.abandon()
    assert client.questions == ["head_blob"]


@pytest.mark.security("S10", "S11")
def test_private_content_is_another(client: Client, stored: Entry, ask: Ask, private: set[Registry]) -> None:
    private.add(REPOSITORY.registry)
    asking = ask(WANTED)
    assert not_yet(asking)
    client.blobs[DIGEST].answer()
    assert status_of(ended(asking)) == "crproxy; fwd=uri-miss; stored"


def test_another_repository_asks_for_leave_to_share_a_fetch(client: Client, source: HandSource, ask: Ask) -> None:
    first = ask(WANTED)
    body = source.answer()
    other = ended(ask(WANTED, repository=OTHER))
    assert status_of(other) == "crproxy; fwd=uri-miss; collapsed; stored"
    reads = [reading(ended(first)), reading(other)]
    body.send(CONTENT)
    body.end()
    assert [consumer.content for consumer, _ in reads] == [CONTENT] * 2
    assert client.questions == ["blob", "head_blob"]


@pytest.mark.security("S11")
def test_another_repository_that_may_not_does_not_share(client: Client, source: HandSource, ask: Ask) -> None:
    ask(WANTED)
    source.answer()
    client.error = DENIED
    assert failure_of(ask(WANTED, repository=OTHER), RegistryError) is DENIED


def test_what_was_refused_to_the_first_is_fetched_for_the_other(client: Client, source: HandSource, ask: Ask) -> None:
    first = ask(WANTED)
    other = ask(WANTED, repository=OTHER)
    source.refuse(GONE)
    assert failure_of(first, RegistryError) is GONE
    assert client.asked[-1] == ("blob", OTHER, DIGEST, 0, None)
    source.answer()
    assert status_of(ended(other)) == "crproxy; fwd=uri-miss; stored"


def test_a_fetch_that_ended_while_leave_was_asked_for_is_read_from_the_store(
    client: Client, source: HandSource, ask: Ask
) -> None:
    ask(WANTED)
    body = source.answer()
    client.waiting = Deferred()
    other = ask(WANTED, repository=OTHER)
    body.send(CONTENT)
    body.end()
    client.waiting.callback(None)
    assert body_of(ended(other)) == CONTENT
    assert client.questions == ["blob", "head_blob"]


# Ranges


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [("bytes=0-", 0, 100), ("bytes=10-19", 10, 20), ("bytes=-5", 95, 100), ("bytes=90-500", 90, 100)],
)
def test_a_range_of_what_is_kept_is_exact(stored: Entry, ask: Ask, value: str, start: int, stop: int) -> None:
    reply = ended(ask(WANTED, headers={"range": value}))
    assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes {start}-{stop - 1}/100")
    assert body_of(reply) == CONTENT[start:stop]


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=-0"])
def test_a_range_behind_the_end_says_how_long_the_blob_is(stored: Entry, ask: Ask, value: str) -> None:
    reply = ended(ask(WANTED, headers={"range": value}))
    assert (reply.status, reply.headers["Content-Range"], body_of(reply)) == (416, "bytes */100", b"")


@pytest.mark.parametrize("value", ["bytes=5-1", "items=0-1", "x"])
def test_what_is_no_range_gets_the_whole(stored: Entry, ask: Ask, value: str) -> None:
    reply = ended(ask(WANTED, headers={"range": value}))
    assert (reply.status, body_of(reply)) == (200, CONTENT)


def test_several_ranges_are_refused(client: Client, stored: Entry, ask: Ask) -> None:
    error = failure_of(ask(WANTED, headers={"range": "bytes=0-1,3-4"}), RegistryError)
    assert isinstance(error, RegistryError)
    assert (error.code, error.status, client.asked) == (ErrorCode.UNSUPPORTED, 400, [])


def test_a_range_from_the_start_begins_a_fetch_of_all(source: HandSource, ask: Ask, store: Store) -> None:
    asking = ask(WANTED, headers={"range": "bytes=0-9"})
    body = source.answer()
    reply = ended(asking)
    assert (reply.status, reply.headers["Content-Range"]) == (206, "bytes 0-9/100")
    consumer, done = reading(reply)
    body.send(CONTENT[:50])
    ended(done)
    assert consumer.content == CONTENT[:10]
    body.send(CONTENT[50:])
    body.end()
    assert store.size(Entry(DIGEST)) == 100


def test_a_range_within_a_fetch_waits_for_it(client: Client, source: HandSource, ask: Ask) -> None:
    ask(WANTED)
    body = source.answer()
    reply = ended(ask(WANTED, headers={"range": "bytes=90-"}))
    assert (reply.status, reply.headers["Content-Range"]) == (206, "bytes 90-99/100")
    consumer, done = reading(reply)
    body.send(CONTENT)
    assert consumer.content == CONTENT[90:-1]
    body.end()
    ended(done)
    assert client.questions == ["blob"]


def test_a_range_far_ahead_of_a_fetch_is_asked_for_by_itself(client: Client, ask: Ask, clock: Clock) -> None:
    content = bytes(5 * MIB)
    digest = client.holds(content)
    source = client.blobs[digest]
    ask(BlobRequest("x", digest))
    source.answer()
    asking = ask(BlobRequest("x", digest), headers={"range": f"bytes={5 * MIB - 10}-"})
    assert client.asked[-1] == ("blob", REPOSITORY, digest, 5 * MIB - 10, None)
    body = source.answer()
    reply = ended(asking)
    assert (reply.status, reply.headers["Cache-Status"]) == (206, "crproxy; fwd=uri-miss")
    consumer, done = reading(reply)
    body.send(bytes(10))
    body.end()
    ended(done)
    assert consumer.content == bytes(10)


def test_a_range_of_what_nobody_fetches_is_passed_through(
    client: Client, source: HandSource, ask: Ask, store: Store
) -> None:
    asking = ask(WANTED, headers={"range": "bytes=50-59"})
    body = source.answer()
    reply = ended(asking)
    assert (reply.status, reply.headers["Content-Range"], reply.body.length) == (206, "bytes 50-59/100", 10)
    consumer, done = reading(reply)
    body.send(CONTENT[50:60])
    body.end()
    ended(done)
    assert consumer.content == CONTENT[50:60]
    assert client.asked == [("blob", REPOSITORY, DIGEST, 50, 60)]
    assert (store.size(Entry(DIGEST)), store.index.bytes_stored()) == (None, 0)


def test_what_is_passed_through_is_resumed_too(source: HandSource, ask: Ask, clock: Clock) -> None:
    asking = ask(WANTED, headers={"range": "bytes=50-"})
    body = source.answer()
    consumer, done = reading(ended(asking))
    body.send(CONTENT[50:60])
    body.cut()
    clock.advance(1)
    assert source.asked == [(50, None), (60, 100)]
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT[50:]


def test_the_last_bytes_are_asked_for_by_their_place(client: Client, source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": "bytes=-5"})
    source.answer()
    assert ended(asking).headers["Content-Range"] == "bytes 95-99/100"
    assert client.asked == [("head_blob", REPOSITORY, DIGEST), ("blob", REPOSITORY, DIGEST, 95, 100)]


def test_a_range_that_upstream_has_not_is_none(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": "bytes=500-"})
    body = source.answer(416, content_range="bytes */100")
    reply = ended(asking)
    assert (reply.status, reply.headers["Content-Range"], body_of(reply)) == (416, "bytes */100", b"")
    assert body.abandoned


def test_of_an_upstream_that_knows_no_ranges_the_part_is_cut_out(source: HandSource, ask: Ask, clock: Clock) -> None:
    asking = ask(WANTED, headers={"range": "bytes=50-59"})
    body = source.answer(200)
    reply = ended(asking)
    assert (reply.status, reply.headers["Content-Range"]) == (206, "bytes 50-59/100")
    consumer, done = reading(reply)
    body.send(CONTENT)
    clock.advance(0)
    ended(done)
    assert consumer.content == CONTENT[50:60]


def test_what_is_passed_through_can_be_abandoned(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": "bytes=50-"})
    body = source.answer()
    ended(asking).body.abandon()
    assert body.abandoned


# Disks


@pytest.mark.security("S18")
def test_what_cannot_be_kept_is_passed_through_and_verified(
    source: HandSource, ask: Ask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "budget", 10)
    for content, right in ((CONTENT, True), (CONTENT[:-1] + b"x", False)):
        store.make_room(0)
        asking = ask(WANTED)
        refused = source.answer()
        body = source.answer() if refused.abandoned else refused
        reply = ended(asking)
        consumer, done = reading(reply)
        body.send(content)
        assert consumer.content == CONTENT[:-1]
        body.end()
        if right:
            ended(done)
            assert (consumer.content, status_of(reply)) == (CONTENT, "crproxy; fwd=uri-miss")
        else:
            failure_of(done, WrongContent)
        assert store.size(Entry(DIGEST)) is None


def test_a_disk_that_fills_up_meanwhile_is_not_noticed(
    source: HandSource, ask: Ask, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Partial, "append", fail)
    asking = ask(WANTED)
    body = source.answer()
    consumer, done = reading(ended(asking))
    body.send(CONTENT[:50])
    clock.advance(0)
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT
