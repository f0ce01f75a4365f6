from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.parallel import Bounds, is_gain, is_stuck

MIB = 1024 * 1024
BOUNDS = Bounds()


def is_slow(size: float = 1000 * MIB, left: float = 900 * MIB, rate: float = 5 * MIB, before: float = 5 * MIB) -> bool:
    return BOUNDS.is_slow(int(size), int(left), rate, before)


def test_a_steady_connection_with_much_to_go_is_slow() -> None:
    assert is_slow()
    assert is_slow(rate=3 * MIB), "it may get slower"


def test_a_blob_of_64_mib_is_not_worth_it() -> None:
    assert not is_slow(size=64 * MIB, left=60 * MIB)
    assert is_slow(size=64 * MIB + 1, left=60 * MIB)


def test_nor_is_the_rest_of_a_large_one() -> None:
    assert not is_slow(left=32 * MIB - 1, rate=MIB)
    assert is_slow(left=32 * MIB, rate=MIB)


def test_nor_what_is_over_in_a_moment() -> None:
    assert not is_slow(left=80 * MIB, rate=20 * MIB, before=20 * MIB)
    assert is_slow(left=81 * MIB, rate=20 * MIB, before=20 * MIB)


def test_a_fast_connection_is_not_slow_however_much_there_is_to_go() -> None:
    assert not is_slow(size=1e12, left=1e12, rate=48 * MIB, before=48 * MIB)


def test_one_that_is_on_its_way_up_is_waited_for() -> None:
    assert not is_slow(rate=5 * MIB, before=3.9 * MIB)
    assert is_slow(rate=5 * MIB, before=4 * MIB)


def test_one_that_stands_still_is_not_helped_by_others() -> None:
    assert not is_slow(rate=0)


def test_a_part_takes_a_connection_three_seconds() -> None:
    assert BOUNDS.length(2 * MIB, 900 * MIB, 4, 64 * MIB) == 6 * MIB


@pytest.mark.parametrize(("rate", "length"), [(0, 1), (0.1, 1), (100, 16)])
def test_it_is_never_tiny_nor_huge(rate: float, length: int) -> None:
    assert BOUNDS.length(rate * MIB, 900 * MIB, 4, 64 * MIB) == length * MIB


def test_the_last_parts_end_at_about_the_same_time() -> None:
    assert BOUNDS.length(4 * MIB, 12 * MIB, 4, 64 * MIB) == 3 * MIB
    assert BOUNDS.length(4 * MIB, 4 * MIB, 4, 64 * MIB) == 2 * MIB, "half a second, or the requests take longer"
    assert BOUNDS.length(4 * MIB, MIB // 2, 4, 64 * MIB) == MIB // 2


def test_it_fits_into_the_room_or_there_is_none() -> None:
    assert BOUNDS.length(4 * MIB, 900 * MIB, 4, 3 * MIB) == 3 * MIB
    assert BOUNDS.length(4 * MIB, 900 * MIB, 4, MIB - 1) == 0
    assert BOUNDS.length(4 * MIB, 900 * MIB, 4, 0) == 0
    assert BOUNDS.length(4 * MIB, 900 * MIB, 4, -MIB) == 0


@given(st.floats(0, 1e12), st.integers(1, 1 << 50), st.integers(1, 16), st.integers(-(1 << 30), 1 << 50))
def test_it_is_within_its_bounds_whatever_comes(rate: float, left: int, connections: int, room: int) -> None:
    length = BOUNDS.length(rate, left, connections, room)
    assert length in (0, left) or BOUNDS.least <= length <= BOUNDS.most
    assert 0 <= length <= max(0, min(left, room))


def test_a_quarter_more_is_a_gain() -> None:
    assert is_gain(5, 4)
    assert not is_gain(4.9, 4)


def test_less_than_a_quarter_of_what_is_usual_is_stuck() -> None:
    assert is_stuck(0, 3, 100)
    assert is_stuck(74, 3, 100)
    assert not is_stuck(75, 3, 100)
    assert not is_stuck(0, 3, 0), "where nothing comes at all, another would bring nothing either"
