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
from tests.stores import MIB, HandRules, filled
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
def stored(store: Store, source: HandSource, rules: HandRules) -> Entry:
    """The blob is here by another repository's doing, which not every client may pull from."""
    entry = Entry(DIGEST)
    ended(store.keep(entry, CONTENT))
    store.index.link(View(OTHER), DIGEST, size=len(CONTENT))
    rules.closed.add(OTHER)
    return entry


@pytest.fixture
def given(store: Store, stored: Entry) -> None:
    """It is this repository's, too."""
    store.index.link(View(REPOSITORY), DIGEST, size=len(CONTENT))


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


def test_s11_no_permission_comes_of_bytes_that_were_wrong(
    client: Client, source: HandSource, ask: Ask, store: Store
) -> None:
    asking = ask(WANTED)
    body = source.answer()
    _, done = reading(ended(asking))
    assert store.index.linked(View(REPOSITORY), DIGEST) is None
    body.send(CONTENT[:-1] + b"x")
    body.end()
    failure_of(done, WrongContent)
    assert store.index.linked(View(REPOSITORY), DIGEST) is None
    assert not store.index.has_delivered(REPOSITORY.registry, DIGEST)


# HEAD


def test_a_head_is_one_head_upstream(client: Client, source: HandSource, ask: Ask) -> None:
    reply = ended(ask(WANTED, "HEAD"))
    assert (reply.status, status_of(reply), reply.body) == (200, "crproxy; fwd=uri-miss", Unsent(100))
    assert client.asked == [("head_blob", REPOSITORY, DIGEST)]


def test_a_head_of_what_is_kept_asks_nobody(client: Client, stored: Entry, ask: Ask) -> None:
    reply = ended(ask(WANTED, "HEAD"))
    assert (status_of(reply), reply.body) == ("crproxy; fwd=uri-miss", Unsent(100))
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


STRANGER = Registry("evil.example.org").repository("a/b")


@pytest.mark.security("S11")
@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-"}, {"range": "bytes=10-19"}])
def test_a_registry_that_never_gave_the_bytes_has_to_give_them(
    client: Client, stored: Entry, source: HandSource, ask: Ask, headers: dict[str, str]
) -> None:
    """However often it says that it has them, it gets nothing of what is stored."""
    for _ in range(2):
        head = ended(ask(WANTED, "HEAD", repository=STRANGER))
        assert status_of(head) == "crproxy; fwd=uri-miss"
        asking = ask(WANTED, repository=STRANGER, headers=headers)
        assert not_yet(asking)
        source.refuse(GONE)
        assert failure_of(asking, RegistryError) is GONE
    assert client.questions == ["head_blob", "blob"] * 2


@pytest.mark.security("S11")
def test_once_it_gave_them_it_has_a_permission(client: Client, stored: Entry, source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, repository=STRANGER)
    body = source.answer()
    reply = ended(asking)
    assert status_of(reply) == "crproxy; fwd=uri-miss"
    consumer, done = reading(reply)
    body.send(CONTENT)
    body.end()
    ended(done)
    assert consumer.content == CONTENT
    assert status_of(ended(ask(WANTED, repository=STRANGER))) == "crproxy; hit"
    assert client.questions == ["blob"]


@pytest.mark.security("S11")
def test_but_not_where_it_gave_others(
    client: Client, stored: Entry, source: HandSource, ask: Ask, store: Store
) -> None:
    asking = ask(WANTED, repository=STRANGER)
    body = source.answer()
    _, done = reading(ended(asking))
    body.send(CONTENT[:-1] + b"x")
    body.end()
    failure_of(done, WrongContent)
    assert client.asked[-1] == ("blame", STRANGER, DIGEST)
    assert store.index.linked(View(STRANGER), DIGEST) is None


@pytest.mark.security("S11")
def test_a_stranger_does_not_share_a_fetch_either(
    client: Client, source: HandSource, ask: Ask, rules: HandRules
) -> None:
    rules.closed.add(REPOSITORY)
    ask(WANTED)
    source.answer()
    theirs = ask(WANTED, repository=STRANGER)
    assert not_yet(theirs)
    source.refuse(GONE)
    assert failure_of(theirs, RegistryError) is GONE
    assert client.questions == ["blob", "blob"]


def test_what_everybody_may_pull_is_shared_without_a_question(client: Client, source: HandSource, ask: Ask) -> None:
    first = ask(WANTED)
    body = source.answer()
    other = ended(ask(WANTED, repository=STRANGER))
    assert status_of(other) == "crproxy; fwd=uri-miss; collapsed; stored"
    reads = [reading(ended(first)), reading(other)]
    body.send(CONTENT)
    body.end()
    assert [consumer.content for consumer, _ in reads] == [CONTENT] * 2
    assert status_of(ended(ask(WANTED, repository=OTHER))) == "crproxy; hit"
    assert client.questions == ["blob"]


@pytest.mark.security("S12")
def test_what_credentials_opened_is_asked_for_again_after_a_while(
    client: Client, source: HandSource, ask: Ask, rules: HandRules, clock: Clock
) -> None:
    rules.credentials[REPOSITORY.registry] = "account"
    asking = ask(WANTED)
    source.send_all()
    ended(asking).body.abandon()
    clock.advance(1)
    assert status_of(ended(ask(WANTED))) == "crproxy; hit"
    clock.advance(3600)
    assert status_of(ended(ask(WANTED))) == "crproxy; hit; detail=revalidated"
    assert status_of(ended(ask(WANTED))) == "crproxy; hit"
    clock.advance(3600)
    client.error = RegistryError(ErrorCode.UNAVAILABLE, "it is away")
    for method in ("GET", "HEAD"):
        reply = ended(ask(WANTED, method))
        assert status_of(reply) == "crproxy; hit; fwd=stale; detail=upstream-failed"
        assert "it is away" in reply.headers["Warning"]
        assert reply.body.length == 100
    client.error = DENIED
    assert failure_of(ask(WANTED), RegistryError) is DENIED
    client.error = RegistryError(ErrorCode.UNAVAILABLE, "it is away")
    assert failure_of(ask(WANTED), RegistryError) is client.error


@pytest.mark.security("S12")
@pytest.mark.parametrize("weaker", ["weaker", ""])
def test_another_account_inherits_nothing(
    client: Client, source: HandSource, ask: Ask, rules: HandRules, weaker: str
) -> None:
    rules.credentials[REPOSITORY.registry] = "account"
    asking = ask(WANTED)
    source.send_all()
    ended(asking).body.abandon()
    rules.credentials[REPOSITORY.registry] = weaker
    client.error = DENIED
    for method in ("GET", "HEAD"):
        assert failure_of(ask(WANTED, method), RegistryError) is DENIED


@pytest.mark.security("S11")
def test_who_may_not_have_it_is_refused(client: Client, stored: Entry, ask: Ask) -> None:
    client.error = DENIED
    assert failure_of(ask(WANTED), RegistryError) is DENIED


def test_many_ask_upstream_once(client: Client, stored: Entry, ask: Ask) -> None:
    client.waiting = Deferred()
    asking = [ask(WANTED), ask(WANTED, "HEAD"), ask(WANTED)]
    client.waiting.callback(None)
    for asked in asking:
        ended(asked).body.abandon()
    assert client.questions == ["head_blob"]


@pytest.mark.security("S10", "S11")
def test_private_content_is_another(client: Client, stored: Entry, ask: Ask, rules: HandRules) -> None:
    rules.credentials[REPOSITORY.registry] = "account"
    asking = ask(WANTED)
    assert not_yet(asking)
    client.blobs[DIGEST].answer()
    assert status_of(ended(asking)) == "crproxy; fwd=uri-miss; stored"


def test_another_repository_asks_before_it_shares_a_fetch(
    client: Client, source: HandSource, ask: Ask, rules: HandRules
) -> None:
    rules.closed.add(REPOSITORY)
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
def test_another_repository_that_may_not_does_not_share(
    client: Client, source: HandSource, ask: Ask, rules: HandRules
) -> None:
    rules.closed.add(REPOSITORY)
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


def test_a_fetch_that_ended_while_upstream_was_asked_is_read_from_the_store(
    client: Client, source: HandSource, ask: Ask, rules: HandRules
) -> None:
    rules.closed.add(REPOSITORY)
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
@pytest.mark.usefixtures("given")
def test_a_range_of_what_is_kept_is_exact(ask: Ask, value: str, start: int, stop: int) -> None:
    reply = ended(ask(WANTED, headers={"range": value}))
    assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes {start}-{stop - 1}/100")
    assert body_of(reply) == CONTENT[start:stop]


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=-0"])
@pytest.mark.usefixtures("given")
def test_a_range_behind_the_end_says_how_long_the_blob_is(ask: Ask, value: str) -> None:
    reply = ended(ask(WANTED, headers={"range": value}))
    assert (reply.status, reply.headers["Content-Range"], body_of(reply)) == (416, "bytes */100", b"")


@pytest.mark.parametrize("value", ["bytes=5-1", "items=0-1", "x"])
@pytest.mark.usefixtures("given")
def test_what_is_no_range_gets_the_whole(ask: Ask, value: str) -> None:
    reply = ended(ask(WANTED, headers={"range": value}))
    assert (reply.status, body_of(reply)) == (200, CONTENT)


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
def test_what_cannot_be_kept_is_passed_through_as_it_is_and_proves_nothing(
    source: HandSource, ask: Ask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "budget", 10)
    for content in (CONTENT, CONTENT[:-1] + b"x"):
        asking = ask(WANTED)
        refused = source.answer()
        body = source.answer() if refused.abandoned else refused
        reply = ended(asking)
        consumer, done = reading(reply)
        body.send(content)
        assert consumer.content == CONTENT[:-1]
        body.end()
        ended(done)
        assert (consumer.content, status_of(reply)) == (content, "crproxy; fwd=uri-miss")
        assert store.size(Entry(DIGEST)) is None
        assert store.index.linked(View(REPOSITORY), DIGEST) is None
        assert not store.index.has_delivered(REPOSITORY.registry, DIGEST)


EVIL = Registry("evil.example").repository("x/y")


@pytest.mark.security("S11")
@pytest.mark.parametrize("size", [100, 42])
def test_what_a_strangers_registry_sends_is_looked_at_for_those_of_another(
    source: HandSource, ask: Ask, store: Store, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Whoever runs a registry may name any digest: bytes that nobody keeps are his own clients' to look at alone."""
    monkeypatch.setattr(store, "budget", 10)
    first, theirs = ask(WANTED, repository=EVIL), ask(WANTED)
    body = source.answer(length=size)
    body = source.answer(length=size) if body.abandoned else body
    (_, done), (consumer, theirs_done) = reading(ended(first)), reading(ended(theirs))
    body.send(b"x" * size)
    body.end()
    failure_of(theirs_done, WrongContent)
    failure_of(done, WrongContent)
    assert len(consumer.content) == size - 1


@pytest.mark.security("S11")
def test_where_nobody_looks_at_it_those_of_another_registry_ask_that(
    client: Client, source: HandSource, ask: Ask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "budget", 10)
    first = ask(WANTED, repository=EVIL)
    body = source.answer()
    body = source.answer() if body.abandoned else body
    reading(ended(first))
    body.send(b"x" * 30)
    theirs = ask(WANTED)
    assert client.asked[-1] == ("blob", REPOSITORY, DIGEST, 0, None)
    own = source.answer()
    consumer, done = reading(ended(theirs))
    own.send(CONTENT)
    own.end()
    ended(done)
    assert consumer.content == CONTENT


@pytest.mark.security("S11")
def test_a_disk_that_takes_nothing_gives_nobody_a_strangers_bytes(
    source: HandSource, ask: Ask, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Partial, "append", fail)
    first, theirs = ask(WANTED, repository=EVIL), ask(WANTED)
    body = source.answer()
    (_, first_done), (_, done) = reading(ended(first)), reading(ended(theirs))
    body.send(CONTENT[:30])
    clock.advance(1)
    body.send(CONTENT[30:-1] + b"x")
    body.end()
    clock.advance(1)
    failure_of(first_done, WrongContent)
    failure_of(done, WrongContent)


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
    body.send(CONTENT[50:])
    body.end()
    ended(done)
    assert consumer.content == CONTENT


# With clients' own credentials

ALICE, BOB = "Bearer of alice", "Bearer of bob"
ALICES = View(REPOSITORY, caller=ALICE)


@pytest.fixture
def brought(client: Client, source: HandSource, ask: Ask, store: Store) -> None:
    """Alice has brought the blob, and is the only one who may have it."""
    client.welcome = {ALICE}
    asking = ask(WANTED, caller=ALICE)
    source.send_all()
    assert body_of(ended(asking)) == CONTENT
    assert store.size(ALICES.entry(DIGEST)) == len(CONTENT)
    assert store.size(Entry(DIGEST)) is None
    client.asked.clear()


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("headers", [{}, {"range": "bytes=10-19"}, {"range": "bytes=-5"}])
def test_s12_a_client_is_served_stored_bytes_after_upstream_was_asked(
    client: Client, ask: Ask, headers: dict[str, str]
) -> None:
    for _ in range(2):
        reply = ended(ask(WANTED, headers=headers, caller=ALICE))
        assert status_of(reply) == "crproxy; hit; detail=revalidated"
        assert body_of(reply) in CONTENT
    assert client.asked == [("head_blob", REPOSITORY, DIGEST)] * 2
    client.welcome = {BOB}
    failure_of(ask(WANTED, headers=headers, caller=ALICE), RegistryError)


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize(
    "headers", [{}, *({"range": f"bytes={value}"} for value in ("10-19", "-5", "500-", "0-9,20-29"))]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("who", [None, BOB])
def test_s11_nobody_else_is(client: Client, ask: Ask, method: str, who: str | None, headers: dict[str, str]) -> None:
    for repository in (REPOSITORY, OTHER):
        asking = ask(WANTED, method, headers=headers, caller=who, repository=repository)
        assert isinstance(error := failure_of(asking, RegistryError), RegistryError)
        assert error.code is ErrorCode.DENIED
    assert client.asked


@pytest.mark.usefixtures("brought")
def test_another_who_may_need_not_have_it_fetched_again(client: Client, ask: Ask) -> None:
    client.welcome = {ALICE, BOB}
    reply = ended(ask(WANTED, caller=BOB))
    assert (status_of(reply), body_of(reply)) == ("crproxy; hit; detail=revalidated", CONTENT)
    assert client.questions == ["head_blob"]


@pytest.mark.usefixtures("brought")
def test_a_head_for_a_client_asks_each_time(client: Client, ask: Ask) -> None:
    for _ in range(2):
        assert ended(ask(WANTED, "HEAD", caller=ALICE)).body == Unsent(100)
    assert client.questions == ["head_blob"] * 2


@pytest.mark.usefixtures("brought")
def test_s12_when_upstream_is_down_clients_get_nothing(client: Client, ask: Ask) -> None:
    client.error = RegistryError(ErrorCode.UNAVAILABLE, "down")
    assert failure_of(ask(WANTED, caller=ALICE), RegistryError) is client.error


@pytest.mark.usefixtures("brought")
def test_s10_what_a_client_brought_gives_the_proxy_no_right(
    client: Client, ask: Ask, rules: HandRules, store: Store
) -> None:
    """With credentials of its own it shares the pool, and asks first."""
    rules.credentials[REPOSITORY.registry] = "account"
    failure_of(ask(WANTED), RegistryError)
    assert client.questions == ["head_blob"]
    assert store.index.linked(View(REPOSITORY, "account"), DIGEST) is None


@pytest.mark.usefixtures("given")
def test_what_is_public_is_served_to_clients_without_asking(client: Client, ask: Ask) -> None:
    client.welcome = {BOB}
    client.asked.clear()
    for method in ("GET", "HEAD"):
        assert status_of(ended(ask(WANTED, method, caller=ALICE))) == "crproxy; hit"
    assert client.asked == []


def test_a_client_shares_a_fetch_that_upstream_lets_it_share(client: Client, source: HandSource, ask: Ask) -> None:
    client.welcome = {ALICE, BOB}
    first = ask(WANTED, caller=ALICE)
    body = source.answer()
    second = ended(ask(WANTED, caller=BOB))
    assert status_of(second) == "crproxy; fwd=uri-miss; collapsed; stored"
    reads = [reading(ended(first)), reading(second)]
    body.send(CONTENT)
    body.end()
    assert [consumer.content for consumer, _ in reads] == [CONTENT] * 2
    assert client.questions == ["blob", "head_blob"]


@pytest.mark.parametrize("headers", [{}, *({"range": f"bytes={value}"} for value in ("0-9", "10-19", "0-9,20-29"))])
def test_s11_of_two_who_want_the_same_the_one_who_may_not_gets_nothing(
    client: Client, source: HandSource, ask: Ask, headers: dict[str, str]
) -> None:
    client.welcome = {ALICE}
    first = ask(WANTED, caller=ALICE)
    for who in (BOB, None):
        failure_of(ask(WANTED, headers=headers, caller=who), RegistryError)
    body = source.answer()
    consumer, done = reading(ended(first))
    body.send(CONTENT[:50])
    for who in (BOB, None):
        failure_of(ask(WANTED, headers=headers, caller=who), RegistryError)
    body.send(CONTENT[50:])
    body.end()
    ended(done)
    assert consumer.content == CONTENT


def test_one_who_is_refused_does_not_spoil_it_for_who_may(client: Client, source: HandSource, ask: Ask) -> None:
    """Whoever comes first began the fetch."""
    client.waiting = Deferred()
    client.welcome = {ALICE, BOB}
    bobs, alices = ask(WANTED, caller=BOB), ask(WANTED, caller=ALICE)
    client.waiting.callback(None)
    source.refuse(DENIED)
    assert failure_of(bobs, RegistryError) is DENIED
    assert client.asked[-1] == ("blob", REPOSITORY, DIGEST, 0, None)
    source.answer()
    assert status_of(ended(alices)) == "crproxy; fwd=uri-miss; stored"


def test_each_client_is_asked_for_by_itself(client: Client, stored: Entry, ask: Ask, store: Store) -> None:
    ended(store.keep(ALICES.entry(DIGEST), CONTENT))
    store.index.link(ALICES, DIGEST)
    client.waiting = Deferred()
    asking = [ask(WANTED, caller=who) for who in (ALICE, BOB, ALICE)]
    client.waiting.callback(None)
    for asked in asking:
        ended(asked).body.abandon()
    assert client.questions == ["head_blob"] * 2


def test_a_fetch_is_resumed_with_the_credentials_of_who_began_it(
    client: Client, source: HandSource, ask: Ask, clock: Clock
) -> None:
    client.welcome = {ALICE}
    asking = ask(WANTED, caller=ALICE)
    body = source.answer()
    consumer, done = reading(ended(asking))
    body.send(CONTENT[:50])
    body.cut()
    clock.advance(2)
    source.send_all()
    ended(done)
    assert consumer.content == CONTENT
    assert client.questions == ["blob", "blob"]


def test_s11_what_is_left_of_a_fetch_is_nothing_to_who_may_not(
    client: Client, source: HandSource, ask: Ask, clock: Clock, store: Store
) -> None:
    filled(store.blobs, ALICES.entry(DIGEST), CONTENT[:50])
    client.welcome = {ALICE}
    for headers in ({}, {"range": "bytes=0-9"}, {"range": "bytes=10-19"}):
        failure_of(ask(WANTED, headers=headers, caller=BOB), RegistryError)
    asking = ask(WANTED, caller=ALICE)
    source.send_all()
    assert body_of(ended(asking)) == CONTENT
