from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Repository, Tag
from crproxy.policy.minimum_age import Dated, Sources, TagChange
from crproxy.store.entries import View
from crproxy.store.index import Index
from crproxy.store.tag_history import Moved, TagHistory
from tests.memory import ended
from tests.stores import make_index

A, B, C = (Digest.of(content) for content in (b"a", b"b", b"c"))
REPOSITORY = Registry("quay.io").repository("org/name")
VIEW = View(REPOSITORY)
V1 = Tag("v1")


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1000)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(path: Path, clock: Clock) -> Index:
    return make_index(path, clock.seconds)


@pytest.fixture
def history(index: Index, clock: Clock) -> TagHistory:
    return TagHistory(index, clock.seconds)


def written(index: Index) -> None:
    ended(index.flush())


def test_each_change_is_kept_with_until_when_upstream_said_so(history: TagHistory, clock: Clock) -> None:
    history.point(VIEW, V1, A, asked_by="192.0.2.1")
    clock.advance(100)
    history.point(VIEW, V1, A)
    clock.advance(10)
    history.point(VIEW, V1, B, asked_by="192.0.2.2")
    clock.advance(5)
    history.point(VIEW, V1, B)
    assert history.changes(VIEW, V1) == [TagChange(A, 1000, 1100, "192.0.2.1"), TagChange(B, 1110, 1115, "192.0.2.2")]


def test_the_same_is_read_from_the_file_and_from_what_waits_for_it(path: Path, clock: Clock) -> None:
    """Whether it is written by then, or half of it."""
    slow: list[Deferred[None]] = []

    def threads(work, *arguments):  # type: ignore[no-untyped-def]
        waiting: Deferred[None] = Deferred()
        slow.append(waiting)
        return waiting.addCallback(lambda _: work(*arguments))

    index = make_index(path, clock.seconds, threads)
    history = TagHistory(index, clock.seconds)
    told = []
    for digest in (A, B, A, C):
        history.point(VIEW, V1, digest)
        clock.advance(10)
        told.append(history.changes(VIEW, V1))
    while slow:
        slow.pop(0).callback(None)
        assert history.changes(VIEW, V1) == told[-1]
    assert TagHistory(make_index(path, clock.seconds), clock.seconds).changes(VIEW, V1) == told[-1]


def test_a_tag_that_is_gone_is_a_change_and_a_tag_that_nobody_knows_is_none(
    history: TagHistory, index: Index, clock: Clock
) -> None:
    history.gone(VIEW, V1)
    assert history.changes(VIEW, V1) == []
    history.point(VIEW, V1, A)
    index.tag(VIEW, "before/v1", B)
    clock.advance(10)
    history.gone(VIEW, V1, "before/v1")
    assert index.tagged(VIEW, "v1") is index.tagged(VIEW, "before/v1") is None
    clock.advance(10)
    history.gone(VIEW, V1)
    history.point(VIEW, V1, A)
    assert history.changes(VIEW, V1) == [
        TagChange(A, 1000, 1000),
        TagChange(None, 1010, 1010),
        TagChange(A, 1020, 1020),
    ]


def test_what_upstream_confirmed_outlasts_that_the_tag_is_forgotten(
    history: TagHistory, index: Index, clock: Clock
) -> None:
    history.point(VIEW, V1, A)
    written(index)
    clock.advance(500)
    history.point(VIEW, V1, A)
    written(index)
    index.untag(VIEW, "v1")
    written(index)
    assert history.changes(VIEW, V1) == [TagChange(A, 1000, 1500)]
    clock.advance(500)
    history.point(VIEW, V1, B)
    assert history.changes(VIEW, V1) == [TagChange(A, 1000, 1500), TagChange(B, 2000, 2000)]


def test_tags_of_others_are_others(history: TagHistory) -> None:
    history.point(VIEW, V1, A)
    for view, tag in (
        (View(REPOSITORY, "me"), V1),
        (View(Registry("ghcr.io").repository("org/name")), V1),
        (VIEW, Tag("v2")),
    ):
        assert history.changes(view, tag) == []


def test_the_first_time_that_a_digest_was_seen_counts(history: TagHistory, index: Index, clock: Clock) -> None:
    history.saw(REPOSITORY, A)
    clock.advance(10)
    history.saw(REPOSITORY, A)
    history.point(VIEW, V1, B)
    assert history.dated(REPOSITORY, [A, B, C]) == {A: Dated(1000), B: Dated(1010)}
    history.saw(REPOSITORY, B, 5)
    history.date(REPOSITORY, A, 1.0, Sources.LAST_MODIFIED)
    expected = {A: Dated(1000, 1.0, Sources.LAST_MODIFIED), B: Dated(5)}
    assert history.dated(REPOSITORY, [A, B]) == expected
    written(index)
    assert history.dated(REPOSITORY, [A, B]) == expected
    assert history.dated(Repository(Registry("quay.io"), "other"), [A]) == {}


def test_of_a_tag_that_moves_all_the_time_the_last_hundred_changes_are_kept(
    history: TagHistory, index: Index, clock: Clock
) -> None:
    for number in range(130):
        history.point(VIEW, V1, Digest.of(b"%d" % number))
        clock.advance(1)
    written(index)
    changes = history.changes(VIEW, V1)
    assert len(changes) == 100
    assert changes[-1].digest == Digest.of(b"129")
    assert changes[0].digest == Digest.of(b"30")


def test_who_wants_to_know_is_told_of_tags_that_move(history: TagHistory) -> None:
    told: list[tuple[Digest | None, Digest | None]] = []
    history.observers.append(lambda repository, tag, before, change: told.append((before, change.digest)))
    history.point(VIEW, V1, A)
    history.point(VIEW, V1, A)
    history.point(VIEW, V1, B)
    history.gone(VIEW, V1)
    assert told == [(A, B), (B, None)]


def test_the_last_changes_of_all_tags_are_found(history: TagHistory, index: Index, clock: Clock) -> None:
    for tag, digest in ((V1, A), (Tag("v2"), C), (V1, B), (Tag("v2"), A)):
        history.point(VIEW, tag, digest)
        clock.advance(1)
    written(index)
    assert history.recent(10) == [
        Moved(REPOSITORY, Tag("v2"), C, TagChange(A, 1003, 1003)),
        Moved(REPOSITORY, V1, A, TagChange(B, 1002, 1002)),
    ]
    assert [moved.tag.name for moved in history.recent(1)] == ["v2"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([A, B, None]), st.booleans(), st.integers(1, 50)), max_size=12))
def test_a_history_is_the_same_whenever_it_is_written(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[Digest | None, bool, int]]
) -> None:
    clock = Clock()
    clock.advance(1000)
    index = make_index(tmp_path_factory.mktemp("index") / "index.sqlite", clock.seconds)
    history = TagHistory(index, clock.seconds)
    expected: list[TagChange] = []
    for digest, is_written, seconds in told:
        if digest is None:
            history.gone(VIEW, V1)
        else:
            history.point(VIEW, V1, digest)
        if expected and expected[-1].digest == digest:
            if digest is not None:
                expected[-1] = TagChange(digest, expected[-1].seen, clock.seconds())
        elif expected or digest is not None:
            expected.append(TagChange(digest, clock.seconds(), clock.seconds()))
        if is_written:
            written(index)
        clock.advance(seconds)
    assert history.changes(VIEW, V1) == expected
