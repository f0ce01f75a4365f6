"""Several ranges of a blob in one request (RFC 9110, 14.2, 15.3.7.2): of what is kept, or on its way, or neither."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.config import Config
from crproxy.limits import Fills
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry
from crproxy.oci.routes import BlobRequest
from crproxy.pullthrough import Asked, PullThrough, Reply
from crproxy.pullthrough.from_upstream import APART
from crproxy.store.entries import Entry, View
from crproxy.store.store import Store
from crproxy.upstream.client import RangeRefused
from crproxy.upstream.relay import BodyBroke
from tests.descriptors import descriptors
from tests.memory import ended, failure_of, not_yet
from tests.multiparts import Part, parts_of, parts_to_the_letter
from tests.pullthrough.conftest import OTHER, PATH, REPOSITORY, Ask, Client, body_of
from tests.sources import HandSource
from tests.stores import MIB, HandRules, pull_through
from tests.upstream.conftest import Consumer

CONTENT = random.Random(3).randbytes(MIB)
SIZE = len(CONTENT)
DIGEST = Digest.of(CONTENT)
WANTED = BlobRequest("x", DIGEST)
STRANGER = Registry("evil.example.org").repository("a/b")
# Three that lie apart, so that upstream is asked for each.
FAR = "bytes=1000-1999,200000-200999,500000-500009"
SPANS = [(1000, 2000), (200_000, 201_000), (500_000, 500_010)]
HEAD = ("head_blob", REPOSITORY, DIGEST)


@pytest.fixture
def source(client: Client) -> HandSource:
    client.holds(CONTENT)
    return client.blobs[DIGEST]


@pytest.fixture
def stored(store: Store, source: HandSource) -> None:
    ended(store.keep(Entry(DIGEST), CONTENT))
    store.index.link(View(REPOSITORY), DIGEST, size=SIZE)


def meant(spans: Sequence[tuple[int, int]], content: bytes = CONTENT) -> list[Part]:
    return [Part(start, stop - 1, len(content), content[start:stop]) for start, stop in spans]


def assert_parts(reply: Reply, body: bytes, spans: Sequence[tuple[int, int]], content: bytes = CONTENT) -> None:
    assert reply.status == 206
    assert "Content-Range" not in reply.headers
    assert reply.headers["Docker-Content-Digest"] == str(Digest.of(content))
    assert reply.headers["ETag"] == f'"{Digest.of(content)}"'
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert reply.lasting is None
    assert reply.body.length == len(body)
    parts = parts_to_the_letter(reply.headers["Content-Type"], body)
    assert parts == parts_of(reply.headers["Content-Type"], body) == meant(spans, content)


def reading(reply: Reply) -> tuple[Consumer, Deferred[None]]:
    consumer = Consumer()
    return consumer, reply.body.join(consumer)


# What is kept


@pytest.mark.usefixtures("stored")
def test_several_of_what_is_kept_come_in_the_order_asked(client: Client, ask: Ask) -> None:
    for value, spans in (
        (FAR, SPANS),
        ("bytes=500000-500009,1000-1999", [SPANS[2], SPANS[0]]),
        ("bytes=-5,0-9", [(SIZE - 5, SIZE), (0, 10)]),
        ("bytes=0-9,10-19,20-29", [(0, 10), (10, 20), (20, 30)]),
        (f"bytes=0-0,{SIZE}-,5-5", [(0, 1), (5, 6)]),
        (f"bytes=0-0,500000-{10 * SIZE}", [(0, 1), (500_000, SIZE)]),
    ):
        reply = ended(ask(WANTED, headers={"range": value}))
        assert_parts(reply, body_of(reply), spans)
        assert reply.headers["Cache-Status"] == "crproxy; hit"
    assert client.asked == []


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("value", [f"bytes=10-19,{SIZE}-", f"bytes={SIZE}-,-0,10-19", "bytes=10-19,"])
def test_one_that_is_left_is_a_plain_part(ask: Ask, value: str) -> None:
    reply = ended(ask(WANTED, headers={"range": value}))
    assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes 10-19/{SIZE}")
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert body_of(reply) == CONTENT[10:20]


@pytest.mark.usefixtures("stored")
def test_where_none_is_left_the_size_is_said(ask: Ask) -> None:
    reply = ended(ask(WANTED, headers={"range": f"bytes={SIZE}-,-0"}))
    assert (reply.status, reply.headers["Content-Range"], body_of(reply)) == (416, f"bytes */{SIZE}", b"")


@pytest.mark.security("S19")
@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "value",
    [
        "bytes=0-,-1",
        "bytes=" + ",".join(["0-"] * 100),
        "bytes=" + ",".join(f"{number}-{number}" for number in range(100, 0, -1)),
        "bytes=" + ",".join(["0-0"] * 1025),
    ],
)
def test_what_is_too_much_gets_the_whole(ask: Ask, value: str) -> None:
    reply = ended(ask(WANTED, headers={"range": value}))
    assert (reply.status, body_of(reply)) == (200, CONTENT)


ranges = st.one_of(
    st.builds(lambda first, more: f"{first}-{first + more}", st.integers(0, 1200), st.integers(0, 300)),
    st.builds("{}-".format, st.integers(0, 1200)),
    st.builds("-{}".format, st.integers(0, 1200)),
)


@pytest.mark.security("S19")
@given(st.lists(ranges, min_size=1, max_size=12), st.integers(0, 1000))
def test_any_ranges_of_any_size_are_answered_to_the_byte(
    client: Client, store: Store, ask: Ask, wanted: list[str], size: int
) -> None:
    content = CONTENT[:size]
    digest = client.holds(content)
    ended(store.keep(Entry(digest), content))
    store.index.link(View(REPOSITORY), digest, size=size)
    reply = ended(ask(BlobRequest("x", digest), headers={"range": f"bytes={','.join(wanted)}"}))
    body = body_of(reply)
    spans = [span for span in (span_in(text, size) for text in wanted) if span is not None]
    if not spans:
        assert (reply.status, body) == (416, b"")
    elif reply.status == 200:
        assert body == content
        assert len(spans) > 1
    elif len(spans) == 1:
        ((start, stop),) = spans
        assert (reply.headers["Content-Range"], body) == (f"bytes {start}-{stop - 1}/{size}", content[start:stop])
    else:
        assert_parts(reply, body, spans, content)
        # What it costs: no more than the whole, and a little for each part.
        assert len(body) <= size + 200 * len(spans)


def span_in(text: str, size: int) -> tuple[int, int] | None:
    """What one range means, in the words of the specification (RFC 9110, 14.1.2)."""
    first, _, last = text.partition("-")
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), size if not last else min(int(last) + 1, size)
    return (start, stop) if start < stop else None


@pytest.mark.usefixtures("stored")
def test_no_descriptor_is_left_open(ask: Ask) -> None:
    before = descriptors()
    for value in ("bytes=0-9,50-59", "bytes=50-59,0-9", f"bytes={SIZE}-,{SIZE}-"):
        reply = ended(ask(WANTED, headers={"range": value}))
        body_of(reply)
        ended(ask(WANTED, headers={"range": value})).body.abandon()
        assert descriptors() == before


@pytest.mark.usefixtures("stored")
def test_a_head_minds_no_ranges(ask: Ask) -> None:
    reply = ended(ask(WANTED, "HEAD", headers={"range": FAR}))
    assert (reply.status, reply.body.length) == (200, SIZE)
    assert reply.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("value", ["bytes=10-19", FAR])
def test_if_range_asks_for_the_whole_where_it_names_something_else(ask: Ask, value: str) -> None:
    for if_range, status in (
        (f'"{DIGEST}"', 206),
        (f'W/"{DIGEST}"', 200),
        (f'"{Digest.of(b"x")}"', 200),
        ("Tue, 15 Nov 1994 12:45:26 GMT", 200),
    ):
        reply = ended(ask(WANTED, headers={"range": value, "if-range": if_range}))
        assert reply.status == status
        reply.body.abandon()


def test_if_range_for_something_else_begins_a_fetch_of_all(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": FAR, "if-range": '"other"'})
    source.answer()
    assert ended(asking).status == 200
    assert source.asked == [(0, None)]


# What is not here


def test_of_what_is_not_here_upstream_is_asked_for_one_after_another(
    client: Client, source: HandSource, ask: Ask, store: Store
) -> None:
    asking = ask(WANTED, headers={"range": FAR})
    body = source.answer()
    reply = ended(asking)
    consumer, done = reading(reply)
    for number, (start, stop) in enumerate(SPANS):
        assert client.asked == [HEAD, *(("blob", REPOSITORY, DIGEST, *span) for span in SPANS[: number + 1])]
        body = body if number == 0 else source.answer()
        body.send(CONTENT[start:stop])
        assert not_yet(done)
        body.end()
    ended(done)
    assert_parts(reply, consumer.content, SPANS)
    assert reply.headers["Cache-Status"] == "crproxy; fwd=uri-miss"
    assert (store.size(Entry(DIGEST)), store.index.bytes_stored()) == (None, 0)


def test_those_that_lie_close_are_asked_for_in_one(source: HandSource, ask: Ask) -> None:
    spans = [(1000, 2000), (2000, 2010), (2010 + APART, 3010 + APART), (3011 + 2 * APART, 3012 + 2 * APART)]
    value = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
    asking = ask(WANTED, headers={"range": f"bytes={value}"})
    body = source.answer()
    reply = ended(asking)
    consumer, done = reading(reply)
    body.send(CONTENT[1000 : 3010 + APART])
    body.end()
    source.send_all()
    ended(done)
    assert_parts(reply, consumer.content, spans)
    assert source.asked == [(1000, 3010 + APART), (3011 + 2 * APART, 3012 + 2 * APART)]


def test_those_that_go_back_are_asked_for_in_their_order(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": "bytes=-10,1000-1999"})
    body = source.answer()
    reply = ended(asking)
    consumer, done = reading(reply)
    body.send(CONTENT[-10:])
    body.end()
    source.send_all()
    ended(done)
    assert_parts(reply, consumer.content, [(SIZE - 10, SIZE), (1000, 2000)])


def test_one_that_is_left_is_asked_for_alone(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": f"bytes={SIZE}-,1000-1999"})
    body = source.answer()
    reply = ended(asking)
    consumer, done = reading(reply)
    body.send(CONTENT[1000:2000])
    body.end()
    ended(done)
    assert (reply.status, reply.headers["Content-Range"]) == (206, f"bytes 1000-1999/{SIZE}")
    assert consumer.content == CONTENT[1000:2000]


def test_where_none_is_left_upstream_is_not_asked_for_any(client: Client, source: HandSource, ask: Ask) -> None:
    reply = ended(ask(WANTED, headers={"range": f"bytes={SIZE}-,-0"}))
    assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
    assert client.asked == [HEAD]


def test_what_breaks_is_resumed_where_it_was(source: HandSource, ask: Ask, clock: Clock) -> None:
    asking = ask(WANTED, headers={"range": FAR})
    body = source.answer()
    reply = ended(asking)
    consumer, done = reading(reply)
    body.send(CONTENT[1000:1500])
    body.cut()
    clock.advance(1)
    source.send_all()
    source.send_all()
    source.send_all()
    ended(done)
    assert_parts(reply, consumer.content, SPANS)
    assert source.asked == [(1000, 2000), (1500, 2000), *SPANS[1:]]


def test_what_cannot_be_had_any_more_breaks_the_answer(source: HandSource, ask: Ask, clock: Clock) -> None:
    asking = ask(WANTED, headers={"range": FAR})
    body = source.answer()
    _, done = reading(ended(asking))
    body.send(CONTENT[1000:2000])
    body.end()
    source.refuse(RegistryError(ErrorCode.BLOB_UNKNOWN, "gone"))
    failure_of(done, RegistryError)
    assert not source.is_waited_for


def test_a_client_that_leaves_is_asked_for_nothing_more(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": FAR})
    body = source.answer()
    _, done = reading(ended(asking))
    body.send(CONTENT[1000:1500])
    done.cancel()
    failure_of(done, CancelledError)
    assert body.stopped
    assert source.asked == SPANS[:1]


def test_what_is_not_sent_is_let_go_of(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": FAR})
    body = source.answer()
    ended(asking).body.abandon()
    assert body.abandoned


def test_upstreams_refusal_is_the_answer(client: Client, source: HandSource, ask: Ask) -> None:
    client.error = RegistryError(ErrorCode.BLOB_UNKNOWN, "not there")
    error = failure_of(ask(WANTED, headers={"range": FAR}), RegistryError)
    assert error.code is ErrorCode.BLOB_UNKNOWN  # type: ignore[attr-defined]


# Upstreams that know no ranges, or lie


def test_of_an_upstream_that_knows_no_ranges_one_answer_is_enough(source: HandSource, ask: Ask, clock: Clock) -> None:
    asking = ask(WANTED, headers={"range": FAR})
    body = source.answer(200)
    reply = ended(asking)
    consumer, done = reading(reply)
    body.send(CONTENT)
    clock.advance(0)
    ended(done)
    assert_parts(reply, consumer.content, SPANS)
    assert (len(source.asked), body.stopped) == (1, True)


def test_of_such_a_one_the_whole_answers_those_that_go_back(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": "bytes=-10,1000-1999"})
    body = source.answer(200)
    reply = ended(asking)
    consumer, done = reading(reply)
    body.send(CONTENT)
    body.end()
    ended(done)
    assert (reply.status, consumer.content, reply.body.length) == (200, CONTENT, SIZE)
    assert len(source.asked) == 1


@pytest.mark.parametrize(
    ("status", "length", "header"),
    [
        (200, SIZE + 1, {}),
        (206, 1000, {"content_range": f"bytes 1000-1999/{SIZE + 1}"}),
        (206, 1000, {"x": "y"}),
        (416, 0, {"content_range": "bytes */10"}),
    ],
)
def test_an_upstream_that_says_another_size_than_before_is_not_believed(
    source: HandSource, ask: Ask, status: int, length: int, header: dict[str, str]
) -> None:
    asking = ask(WANTED, headers={"range": FAR})
    body = source.answer(status, length=length, **header)
    failure_of(asking, RangeRefused)
    assert body.abandoned


def test_one_that_says_so_later_breaks_the_answer(source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": FAR})
    body = source.answer()
    _, done = reading(ended(asking))
    body.send(CONTENT[1000:2000])
    body.end()
    start, _ = SPANS[1]
    body = source.answer(206, length=500, content_range=f"bytes {start}-{start + 499}/{start + 500}")
    body.send(CONTENT[start : start + 500])
    body.end()
    failure_of(done, BodyBroke)
    assert len(source.asked) == 2


def test_without_a_size_the_whole_is_fetched(client: Client, source: HandSource, ask: Ask) -> None:
    client.header = {"x": "y"}
    asking = ask(WANTED, headers={"range": FAR})
    source.answer(length=None)
    reply = ended(asking)
    assert (reply.status, reply.body.length) == (200, None)


# Half of it, and more


def test_half_of_a_blob_begins_a_fetch_of_all(client: Client, source: HandSource, ask: Ask, store: Store) -> None:
    spans = [(10, 400_000), (400_000, 500_000), (SIZE - 100_000, SIZE)]
    value = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
    asking = ask(WANTED, headers={"range": f"bytes={value}"})
    body = source.answer()
    reply = ended(asking)
    consumer, done = reading(reply)
    for start in range(0, SIZE, 100_000):
        body.send(CONTENT[start : start + 100_000])
    # The last byte waits until all are the right ones.
    assert not_yet(done)
    body.end()
    ended(done)
    assert_parts(reply, consumer.content, spans)
    assert reply.headers["Cache-Status"] == "crproxy; fwd=uri-miss; stored"
    assert client.asked == [HEAD, ("blob", REPOSITORY, DIGEST, 0, None)]
    assert store.size(Entry(DIGEST)) == SIZE


def test_half_of_a_blob_that_goes_back_begins_none(client: Client, source: HandSource, ask: Ask) -> None:
    asking = ask(WANTED, headers={"range": f"bytes={SIZE // 2}-,0-9"})
    source.answer()
    ended(asking).body.abandon()
    assert client.asked == [HEAD, ("blob", REPOSITORY, DIGEST, SIZE // 2, SIZE)]


def test_wrong_bytes_of_it_never_end_well(source: HandSource, ask: Ask, store: Store) -> None:
    asking = ask(WANTED, headers={"range": f"bytes=0-9,20-{SIZE}"})
    body = source.answer()
    reply = ended(asking)
    consumer, done = reading(reply)
    body.send(b"x" + CONTENT[1:])
    body.end()
    failure_of(done, Exception)
    assert len(consumer.content) < (reply.body.length or 0)
    assert store.size(Entry(DIGEST)) is None


# What is on its way


def test_several_within_a_fetch_come_as_it_reaches_them(client: Client, source: HandSource, ask: Ask) -> None:
    ask(WANTED)
    body = source.answer()
    reply = ended(ask(WANTED, headers={"range": FAR}))
    consumer, done = reading(reply)
    assert consumer.content == b""
    body.send(CONTENT[:1500])
    assert consumer.content.endswith(CONTENT[1400:1500])
    body.send(CONTENT[1500:300_000])
    assert consumer.content.endswith(CONTENT[200_900:201_000])
    assert not_yet(done)
    body.send(CONTENT[300_000:])
    ended(done)
    assert_parts(reply, consumer.content, SPANS)
    assert reply.headers["Cache-Status"] == "crproxy; fwd=uri-miss; collapsed; stored"
    assert client.questions == ["blob"]


def test_those_that_go_back_are_asked_for_by_themselves(client: Client, source: HandSource, ask: Ask) -> None:
    ask(WANTED)
    source.answer()
    asking = ask(WANTED, headers={"range": "bytes=-10,1000-1999"})
    source.answer()
    assert ended(asking).headers["Cache-Status"] == "crproxy; fwd=uri-miss"
    assert source.asked == [(0, None), (SIZE - 10, SIZE)]
    # The fetch has told the size.
    assert client.questions == ["blob", "blob"]


def test_those_far_ahead_of_a_fetch_are_asked_for_by_themselves(client: Client, ask: Ask) -> None:
    content = bytes(6 * MIB)
    digest = client.holds(content)
    source = client.blobs[digest]
    ask(BlobRequest("x", digest))
    source.answer()
    asking = ask(BlobRequest("x", digest), headers={"range": f"bytes=0-9,{5 * MIB}-{5 * MIB + 9}"})
    source.answer()
    assert ended(asking).headers["Cache-Status"] == "crproxy; fwd=uri-miss"
    assert source.asked == [(0, None), (0, 10)]


def test_those_of_nearly_all_wait_for_a_fetch(client: Client, ask: Ask) -> None:
    content = bytes(6 * MIB)
    digest = client.holds(content)
    source = client.blobs[digest]
    ask(BlobRequest("x", digest))
    source.answer()
    value = f"bytes=10-{3 * MIB},{3 * MIB + 100}-{6 * MIB - 5}"
    reply = ended(ask(BlobRequest("x", digest), headers={"range": value}))
    assert reply.headers["Cache-Status"] == "crproxy; fwd=uri-miss; collapsed; stored"


@pytest.mark.security("S18")
def test_what_is_never_kept_is_read_from_memory(
    source: HandSource, ask: Ask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "budget", 10)
    ask(WANTED)
    refused = source.answer()
    body = source.answer() if refused.abandoned else refused
    body.send(CONTENT[:100_000])
    reply = ended(ask(WANTED, headers={"range": FAR}))
    consumer, done = reading(reply)
    for start in range(100_000, SIZE, 100_000):
        body.send(CONTENT[start : start + 100_000])
    body.end()
    ended(done)
    assert_parts(reply, consumer.content, SPANS)
    assert reply.headers["Cache-Status"] == "crproxy; fwd=uri-miss; collapsed"


# Who may have it


@pytest.mark.usefixtures("stored")
def test_who_has_to_prove_it_is_given_only_what_upstream_gives(
    client: Client, source: HandSource, ask: Ask, rules: HandRules
) -> None:
    rules.closed.add(REPOSITORY)
    asking = ask(WANTED, repository=STRANGER, headers={"range": FAR})
    body = source.answer()
    reply = ended(asking)
    consumer, done = reading(reply)
    body.send(CONTENT[1000:2000])
    body.end()
    source.send_all()
    source.send_all()
    ended(done)
    assert_parts(reply, consumer.content, SPANS)
    assert {question[1] for question in client.asked} == {STRANGER}
    assert client.questions == ["head_blob", "blob", "blob", "blob"]


@pytest.mark.usefixtures("stored")
def test_who_is_refused_is_given_nothing(client: Client, ask: Ask, rules: HandRules) -> None:
    rules.closed.add(REPOSITORY)
    client.error = RegistryError(ErrorCode.DENIED, "no")
    for repository in (STRANGER, OTHER):
        error = failure_of(ask(WANTED, repository=repository, headers={"range": FAR}), RegistryError)
        assert error.code is ErrorCode.DENIED  # type: ignore[attr-defined]


def test_all_of_it_counts_as_one_fill_until_it_ends(
    client: Client, source: HandSource, store: Store, clock: Clock
) -> None:
    fills = Fills(Config)
    pullthrough: PullThrough = pull_through(client, store, clock, fills=fills)
    asked = Asked("GET", PATH, headers={"range": FAR}, client="192.0.2.1")
    asking = Deferred.fromCoroutine(pullthrough.answer(REPOSITORY, WANTED, asked))

    def under_way() -> int:
        return fills.by_client.of("192.0.2.1")

    body = source.answer()
    _, done = reading(ended(asking))
    body.send(CONTENT[1000:2000])
    body.end()
    assert under_way() == 1
    source.send_all()
    assert under_way() == 1
    source.send_all()
    ended(done)
    assert under_way() == 0
