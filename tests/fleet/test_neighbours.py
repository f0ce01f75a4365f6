"""One worker follows, for another node, what its neighbour fills."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from crproxy.policy.ranges import ByteRange
from crproxy.store.blobs import Blobs, WrongContent
from tests.fleet.workers import CONTENT, KEY, TwoWorkers, streaming
from tests.flights.test_following_workers import full_from
from tests.memory import ended


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TwoWorkers]:
    node = TwoWorkers(tmp_path)
    yield node
    node.stop()


def test_another_worker_may_take_over_what_is_followed(node: TwoWorkers) -> None:
    node.begin()
    node.source.answer().send(CONTENT[:10])
    consumer, done = node.read(node.answered(1))
    ended(node.workers[0].flights.stop())
    node.look(5)
    node.begin()
    body = node.source.answer()
    body.send(CONTENT[10:])
    body.end()
    node.look()
    ended(done)
    assert consumer.content == CONTENT


def test_many_follow_one_file_and_let_go_of_it(node: TwoWorkers) -> None:
    node.begin()
    body = node.source.answer()
    body.send(CONTENT[:10])
    readers = [node.read(node.answered(1, ByteRange(start, None))) for start in (0, 5, 50)]
    assert len(node.havings[1]._files) == 1
    for consumer, _ in readers[:2]:
        consumer.producer.stopProducing()
    gone = node.answered(1)
    gone.body.abandon()
    body.send(CONTENT[10:])
    body.end()
    node.look()
    ended(readers[2][1])
    assert readers[2][0].content == CONTENT[50:]
    for _, done in readers[:2]:
        done.cancel()
        done.addErrback(lambda _: None)


def test_who_leaves_before_anything_is_known_leaves_nothing(node: TwoWorkers) -> None:
    node.begin()
    asked = node.ask(1)
    node.look()
    asked.cancel()
    asked.addErrback(lambda _: None)
    node.look()
    assert len(node.havings[1]._files) == 0


def test_a_size_that_was_announced_and_is_not_its_own_is_no_end(node: TwoWorkers) -> None:
    node.begin()
    node.workers[0].flights.needs.sharing.records("flights").put(f"{KEY.entry} from {KEY.origin}", ("anybody", 50))
    consumer, done = node.read(node.answered(1))
    body = node.source.answer()
    body.send(CONTENT)
    body.end()
    node.look()
    with pytest.raises(WrongContent):
        ended(done)
    assert len(consumer.content) < 50


def test_the_other_worker_is_told_that_somebody_comes_for_it(node: TwoWorkers) -> None:
    body, own = streaming(node)
    body.send(CONTENT[:40])
    consumer, done = node.read(node.answered(1))
    assert node.workers[0].peers.are_waiting(KEY)
    body.send(CONTENT[40:])
    body.end()
    node.look()
    ended(done)
    ended(own)
    assert not node.workers[0].peers.are_waiting(KEY)
    assert consumer.content == CONTENT


def test_where_the_disk_is_full_in_the_middle_the_rest_comes_from_memory(node: TwoWorkers) -> None:
    body, own = streaming(node)
    body.send(CONTENT[:40])
    consumer, done = node.read(node.answered(1))
    with full_from(40):
        body.send(CONTENT[40:60])
    node.look()
    body.send(CONTENT[60:])
    body.end()
    node.clock.pump([0.1] * 30)
    ended(done)
    ended(own)
    assert consumer.content == CONTENT
    assert not node.workers[1].peers.are_waiting(KEY)


def test_a_disk_that_cannot_be_looked_at_has_nothing(node: TwoWorkers) -> None:
    with patch.object(Blobs, "open_partial", side_effect=OSError(errno.EMFILE, "Too many open files")):
        assert node.answered(1).status == 404
