from __future__ import annotations

import pytest

from crproxy.upstream.in_order import InOrder
from crproxy.upstream.segments import Memory
from tests.upstream.conftest import Consumer


@pytest.fixture
def memory() -> Memory:
    return Memory(100)


@pytest.fixture
def in_order(consumer: Consumer, memory: Memory) -> InOrder:
    return InOrder(consumer, 0, None, memory)


def test_one_segment_has_all_to_begin_with(in_order: InOrder) -> None:
    assert in_order.first is not None
    assert (in_order.first.start, in_order.first.stop, in_order.next, in_order.end) == (0, None, None, None)
    assert (in_order.received, in_order.running, in_order.reserved, in_order.is_done) == (0, 0, 0, False)
    assert in_order.missing() is in_order.first


def test_what_comes_of_the_first_goes_straight_on(in_order: InOrder, consumer: Consumer) -> None:
    in_order.write()
    assert in_order.first is not None
    in_order.first.write(b"abc")
    assert consumer.content == b"abc"


def test_others_wait_until_it_is_their_turn(in_order: InOrder, consumer: Consumer, memory: Memory) -> None:
    in_order.know_end(100)
    in_order.let_first_end(50)
    second = in_order.append(50)
    assert (second.start, second.stop, in_order.next, memory.free) == (50, 100, 100, 50)
    second.write(b"second")
    in_order.write()
    assert (consumer.content, in_order.reserved) == (b"", 50)


def test_a_segment_without_any_before_it_needs_no_memory(consumer: Consumer, memory: Memory) -> None:
    in_order = InOrder(consumer, 10, 10, memory)
    in_order.write()
    assert (in_order.first, in_order.is_done) == (None, True)
    in_order.end = 100
    first = in_order.append(90)
    first.write(b"abc")
    assert (memory.free, consumer.content, in_order.received) == (100, b"abc", 10)


def test_what_is_untouched_at_the_end_goes(in_order: InOrder, memory: Memory) -> None:
    in_order.know_end(100)
    in_order.let_first_end(40)
    in_order.append(30)
    in_order.append(30)
    in_order.trim()
    assert (in_order.next, memory.free) == (40, 100)
    in_order.let_first_have_all()
    assert in_order.first is not None
    assert (in_order.first.stop, in_order.next) == (100, 100)


def test_the_first_has_not_all_where_there_are_others(in_order: InOrder) -> None:
    in_order.know_end(100)
    in_order.let_first_end(40)
    in_order.append(30)
    in_order.let_first_have_all()
    assert in_order.first is not None
    assert (in_order.first.stop, in_order.next) == (40, 70)


def test_a_part_ends_where_it_was_to_end(consumer: Consumer, memory: Memory) -> None:
    in_order = InOrder(consumer, 0, 50, memory)
    in_order.know_end(100)
    assert in_order.end == 50


def test_closed_it_keeps_nothing(in_order: InOrder, memory: Memory) -> None:
    in_order.know_end(100)
    in_order.let_first_end(50)
    second = in_order.append(50)
    second.write(b"abc")
    in_order.close()
    assert (memory.free, second.is_empty, in_order.is_over) == (100, True, True)
