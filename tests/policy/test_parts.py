from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.parts import Chosen, choose, is_worth_the_whole, runs_of, unwanted
from crproxy.policy.ranges import ByteRange, RangeNotSatisfiable, Slice, parse_ranges
from tests.outcomes import outcome

SIZE = 1000

sizes = st.integers(0, 60)
ranges = st.one_of(
    st.builds(lambda first, more: ByteRange(first, first + more), st.integers(0, 70), st.integers(0, 20)),
    st.builds(ByteRange, st.integers(0, 70), st.none()),
    st.builds(ByteRange, st.none(), st.integers(0, 70)),
)
several = st.lists(ranges, max_size=8)


def chosen(value: str, size: int = SIZE) -> Chosen:
    return choose(parse_ranges(value), size)


def pairs(found: Chosen) -> list[tuple[int, int]]:
    return [(part.start, part.stop) for part in found.parts]


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("bytes=0-9", [(0, 10)]),
        ("bytes=0-9,20-29", [(0, 10), (20, 30)]),
        ("bytes=20-29,0-9", [(20, 30), (0, 10)]),
        ("bytes=-10,0-9,500-", [(990, 1000), (0, 10), (500, 1000)]),
        ("bytes=0-9,10-19", [(0, 10), (10, 20)]),
        ("bytes=0-9,5-14", [(0, 10), (5, 15)]),
        ("bytes=0-9,0-9", [(0, 10), (0, 10)]),
        ("bytes=0-9,2000-,20-2000", [(0, 10), (20, 1000)]),
        ("bytes=2000-,0-9", [(0, 10)]),
        ("bytes=0-499,500-999", [(0, 500), (500, 1000)]),
    ],
)
def test_each_range_that_has_bytes_is_a_part_as_it_was_asked_for(value: str, parts: list[tuple[int, int]]) -> None:
    found = chosen(value)
    assert (pairs(found), found.is_whole) == (parts, False)


@pytest.mark.security("S19")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes=0-,-1",
        "bytes=0-,0-",
        "bytes=0-500,500-",
        "bytes=9-9,7-7,5-5,3-3,1-1",
        "bytes=" + ",".join(["5-9"] * 5),
        "bytes=" + ",".join(f"{number}-{number}" for number in range(100, 0, -1)),
    ],
)
def test_the_whole_answers_what_is_more_than_it_or_goes_back_and_forth(value: str) -> None:
    found = chosen(value)
    assert (pairs(found), found.is_whole) == ([(0, SIZE)], True)


def test_parts_may_go_back_a_few_times() -> None:
    assert not chosen("bytes=9-9,7-7,5-5,3-3").is_whole


def test_one_that_asks_for_all_is_a_part_still() -> None:
    assert chosen("bytes=0-") == Chosen((Slice(0, SIZE, SIZE),), is_whole=False)


@pytest.mark.parametrize("value", ["bytes=1000-", "bytes=1000-,2000-3000", "bytes=-0,1000-"])
def test_where_none_has_bytes_the_size_is_said(value: str) -> None:
    with pytest.raises(RangeNotSatisfiable, match=r"^bytes \*/1000$"):
        chosen(value)


@pytest.mark.security("S19")
@given(several, sizes)
def test_of_any_ranges_the_parts_are_those_that_have_bytes_or_the_whole(wanted: list[ByteRange], size: int) -> None:
    alone = (outcome(RangeNotSatisfiable, one.of, size) for one in wanted)
    satisfiable = [found for found in alone if isinstance(found, Slice)]
    found = outcome(RangeNotSatisfiable, choose, wanted, size)
    if isinstance(found, RangeNotSatisfiable):
        assert wanted
        assert satisfiable == []
        return
    if found.is_whole:
        assert found.parts == (Slice(0, size, size),)
        assert len(satisfiable) != 1 or not wanted
    else:
        assert list(found.parts) == satisfiable
        # What it costs: no more bytes than the whole, and few places to begin to read.
        assert found.length <= size
        assert len(runs_of(found.parts)) <= 4
    assert found.length == sum(part.length for part in found.parts)


@pytest.mark.parametrize(
    ("value", "size", "is_so"),
    [
        ("bytes=0-9,20-29", 41, False),
        ("bytes=0-9,20-29", 40, True),
        ("bytes=0-9,100-", 20, True),
        ("bytes=0-9,100-", 21, False),
        ("bytes=20-,0-9", 100, False),
        ("bytes=0-,0-", 100, True),
        ("", 100, True),
        ("", 0, True),
    ],
)
def test_half_of_it_is_worth_the_whole(value: str, size: int, is_so: bool) -> None:
    assert is_worth_the_whole(chosen(value, size)) is is_so


# Runs


@pytest.mark.parametrize(
    ("value", "apart", "lengths"),
    [
        ("bytes=0-9,10-19,30-39", None, [3]),
        ("bytes=0-9,10-19,30-39", 10, [3]),
        ("bytes=0-9,10-19,30-39", 9, [2, 1]),
        ("bytes=0-9,10-19,30-39", 0, [2, 1]),
        ("bytes=0-9,9-19", None, [1, 1]),
        ("bytes=30-39,0-9,50-59", None, [1, 2]),
        ("bytes=0-9", 0, [1]),
    ],
)
def test_parts_that_follow_one_another_are_a_run(value: str, apart: int | None, lengths: list[int]) -> None:
    assert [len(run) for run in runs_of(chosen(value).parts, apart)] == lengths


parts = st.builds(lambda start, length: Slice(start, start + length, 100), st.integers(0, 80), st.integers(1, 20))


@given(st.lists(parts, max_size=8), st.none() | st.integers(0, 30))
def test_runs_are_the_parts_in_their_order_and_as_few_as_may_be(given: list[Slice], apart: int | None) -> None:
    runs = runs_of(given, apart)
    assert [part for run in runs for part in run] == given

    def may_follow(before: Slice, after: Slice) -> bool:
        gap = after.start - before.stop
        return gap >= 0 and (apart is None or gap <= apart)

    assert all(may_follow(*two) for run in runs for two in pairwise(run))
    assert not any(may_follow(before[-1], after[0]) for before, after in pairwise(runs))


@given(st.lists(parts, min_size=1, max_size=8), st.integers(0, 120))
def test_what_is_unwanted_is_what_comes_before_and_between(given: list[Slice], filled: int) -> None:
    for run in runs_of(given):
        wanted = {byte for part in run for byte in range(part.start, part.stop)}
        assert unwanted(run, filled) == len(set(range(filled, run[-1].stop)) - wanted)
