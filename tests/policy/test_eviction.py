from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.eviction import to_drop

contents = st.lists(st.integers(0, 20)).map(lambda sizes: list(enumerate(sizes)))


@given(contents, st.integers(-10, 100))
def test_what_is_left_fits_or_nothing_is_left(oldest: list[tuple[int, int]], budget: int) -> None:
    stored = sum(size for _, size in oldest)
    dropped = to_drop(stored, budget, oldest)
    left = stored - sum(size for content, size in oldest if content in dropped)
    assert left <= budget or len(dropped) == len(oldest)


@given(contents, st.integers(-10, 100))
def test_the_least_recently_used_go_and_none_too_many(oldest: list[tuple[int, int]], budget: int) -> None:
    stored = sum(size for _, size in oldest)
    dropped = to_drop(stored, budget, oldest)
    assert dropped == [content for content, _ in oldest][: len(dropped)]
    if dropped:
        assert stored - sum(size for _, size in oldest[: len(dropped) - 1]) > budget


def test_what_fits_stays() -> None:
    assert to_drop(10, 10, [("a", 10)]) == []


def test_no_more_is_looked_at_than_is_dropped() -> None:
    oldest = iter([("a", 5), ("b", 5), ("c", 5)])
    assert to_drop(15, 10, oldest) == ["a"]
    assert next(oldest) == ("c", 5)
