"""What a node hears of tags from others, beside what it sees itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Repository, Tag
from crproxy.policy.minimum_age import Dated, TagChange
from crproxy.policy.united_histories import MOST_CHANGES
from crproxy.store.entries import View
from crproxy.store.index import Index
from crproxy.store.tag_history import TagHistory
from crproxy.store.tag_pins import PinChange, TagPin, TagPins
from tests.memory import ended
from tests.store.test_index import Thread
from tests.stores import make_index

A, B, C = (Digest.of(content) for content in (b"a", b"b", b"c"))
REPOSITORY = Registry("quay.io").repository("org/name")
VIEW, V1 = View(REPOSITORY), Tag("v1")


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1000)
    return clock


@pytest.fixture
def thread() -> Thread:
    return Thread()


@pytest.fixture
def index(tmp_path: Path, clock: Clock, thread: Thread) -> Index:
    return make_index(tmp_path / "index.sqlite", clock.seconds, thread)


@pytest.fixture
def history(index: Index, clock: Clock) -> TagHistory:
    return TagHistory(index, clock.seconds)


class Told:
    """Notes what there is to tell."""

    def __init__(self) -> None:
        self.pointings: list[bool] = []
        self.sightings: list[Digest] = []

    def pointed(self, view: View, tag: Tag, *, moved: bool) -> None:
        assert (view, tag) == (VIEW, V1)
        self.pointings.append(moved)

    def sighted(self, repository: Repository, digest: Digest) -> None:
        assert repository == REPOSITORY
        self.sightings.append(digest)


@pytest.mark.parametrize("written", [True, False])
def test_what_is_heard_is_in_the_history_at_once_and_when_it_is_written(
    history: TagHistory, thread: Thread, clock: Clock, written: bool
) -> None:
    history.point(VIEW, V1, B)
    if written:
        thread.run()
    history.hear(VIEW, V1, [TagChange(A, 10, 500, "192.0.2.1"), TagChange(B, 900, 950)])
    expected = [TagChange(A, 10, 500, "192.0.2.1"), TagChange(B, 900, 1000)]
    assert history.changes(VIEW, V1) == expected
    assert history.dated(REPOSITORY, [A, B]) == {A: Dated(10), B: Dated(900)}
    clock.advance(5)
    history.point(VIEW, V1, C)
    expected.append(TagChange(C, 1005, 1005))
    assert history.changes(VIEW, V1) == expected
    thread.run()
    assert history.changes(VIEW, V1) == expected
    # Again is no news.
    history.hear(VIEW, V1, expected[:2])
    assert not history._index.pending.is_waiting


def test_what_another_worker_has_noted_meanwhile_stays(
    history: TagHistory, tmp_path: Path, clock: Clock, thread: Thread
) -> None:
    other_thread = Thread()
    other = TagHistory(make_index(tmp_path / "index.sqlite", clock.seconds, other_thread), clock.seconds)
    history.hear(VIEW, V1, [TagChange(A, 10, 500)])
    other.point(VIEW, V1, B)
    other_thread.run()
    thread.run()
    for each in (history, other):
        assert each.changes(VIEW, V1) == [TagChange(A, 10, 500), TagChange(B, 1000, 1000)]


def test_upstream_says_again_what_another_node_saw_otherwise_in_between(history: TagHistory, clock: Clock) -> None:
    history.point(VIEW, V1, A)
    clock.advance(10)
    history.hear(VIEW, V1, [TagChange(B, 1005, 1005)])
    assert history.changes(VIEW, V1)[-1].digest == B
    history.point(VIEW, V1, A)
    assert [each.digest for each in history.changes(VIEW, V1)] == [A, B, A]


def test_who_follows_is_told_what_is_seen_and_not_what_is_heard(history: TagHistory) -> None:
    told = Told()
    history.followers.append(told)
    history.point(VIEW, V1, A)
    history.point(VIEW, V1, A)
    history.point(VIEW, V1, B)
    history.gone(VIEW, V1)
    history.gone(VIEW, V1)
    assert told.pointings == [True, False, True, True]
    assert told.sightings == [A, B]
    history.hear(VIEW, V1, [TagChange(C, 5, 6)])
    history.hear_of(REPOSITORY, A, 5)
    assert (len(told.pointings), told.sightings) == (4, [A, B])
    history.saw(REPOSITORY, A, 5)
    assert told.sightings == [A, B]
    history.saw(REPOSITORY, A, 4)
    assert told.sightings == [A, B, A]


def test_the_latest_are_known_by_name(history: TagHistory, clock: Clock, thread: Thread) -> None:
    views = [VIEW, View(REPOSITORY, "token"), View(REPOSITORY, caller="")]
    for view in views:
        history.point(view, V1, A)
        clock.advance(1)
    history.saw(REPOSITORY, B)
    thread.run()
    assert history.latest_tags(10) == [(view, V1) for view in reversed(views)]
    assert history.latest_tags(1) == [(views[-1], V1)]
    assert history.latest_sightings(10) == [(REPOSITORY, B), (REPOSITORY, A)]
    assert history.seen(REPOSITORY, A) == 1000
    assert history.seen(REPOSITORY, C) is None


def test_the_page_shows_what_moved_last_though_another_tags_past_is_heard_later(
    history: TagHistory, clock: Clock, thread: Thread
) -> None:
    history.point(VIEW, V1, A)
    clock.advance(1)
    history.point(VIEW, V1, B)
    history.hear(VIEW, Tag("v2"), [TagChange(A, 10, 10), TagChange(B, 20, 20)])
    thread.run()
    assert [moved.tag for moved in history.recent(10)] == [V1, Tag("v2")]


def test_of_many_the_last_are_kept(history: TagHistory, thread: Thread) -> None:
    history.hear(VIEW, V1, [TagChange(A if each % 2 else B, each, each) for each in range(MOST_CHANGES)])
    history.point(VIEW, V1, C)
    thread.run()
    changes = history.changes(VIEW, V1)
    assert (len(changes), changes[0].seen, changes[-1].digest) == (MOST_CHANGES, 1, C)


class TestPins:
    @pytest.fixture
    def pins(self, tmp_path: Path, clock: Clock) -> TagPins:
        return TagPins(make_index(tmp_path / "pins.sqlite", clock.seconds), clock.seconds)

    def test_what_is_said_here_counts_though_another_clock_was_ahead(self, pins: TagPins, clock: Clock) -> None:
        ended(pins.hear([PinChange(REPOSITORY, V1, A, 2000)]))
        ended(pins.pin(TagPin(REPOSITORY, V1, B, clock.seconds())))
        pin = pins.of(REPOSITORY, V1)
        assert pin is not None
        assert (pin.digest, pin.made > 2000) == (B, True)
        assert ended(pins.unpin(REPOSITORY, V1))
        assert pins.of(REPOSITORY, V1) is None
        assert pins.all() == []
        (change,) = pins.changes()
        assert change.digest is None
        assert change.at > pin.made

    def test_of_what_is_heard_the_later_counts(self, pins: TagPins) -> None:
        for change in (PinChange(REPOSITORY, V1, A, 20), PinChange(REPOSITORY, V1, B, 10)):
            ended(pins.hear([change]))
            assert [pin.digest for pin in pins.all()] == [A]
        ended(pins.hear([PinChange(REPOSITORY, V1, None, 30), PinChange(REPOSITORY, V1, B, 29)]))
        assert pins.all() == []

    def test_of_what_was_said_at_once_all_nodes_believe_the_same(self, pins: TagPins) -> None:
        both = [PinChange(REPOSITORY, V1, digest, 20) for digest in (A, B)]
        found = set()
        for changes in (both, both[::-1]):
            ended(pins.hear([PinChange(REPOSITORY, V1, None, 0), *changes]))
            found |= {pin.digest for pin in pins.all()}
        assert len(found) == 1

    def test_who_watches_is_told_of_what_is_said_here(self, pins: TagPins) -> None:
        told: list[tuple[Repository, Tag]] = []
        pins.observers.append(lambda repository, tag: told.append((repository, tag)))
        ended(pins.hear([PinChange(REPOSITORY, V1, A, 20)]))
        assert not ended(pins.unpin(REPOSITORY, Tag("other")))
        assert told == []
        ended(pins.pin(TagPin(REPOSITORY, V1, B, 30)))
        assert ended(pins.unpin(REPOSITORY, V1))
        assert told == [(REPOSITORY, V1)] * 2
