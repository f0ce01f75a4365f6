from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from crproxy.sharing.counts import Counts


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_it_counts_and_who_has_none_takes_no_room(steps: list[tuple[str, bool]]) -> None:
    counts, expected = Counts(), Counter[str]()
    for name, more in steps:
        if more:
            counts.add(name)
            expected[name] += 1
        elif expected[name]:
            counts.remove(name)
            expected[name] -= 1
    assert {name: counts.of(name) for name in "abc"} == {name: expected[name] for name in "abc"}
    assert len(counts) == len(+expected)


def test_removing_what_is_not_there_is_nothing() -> None:
    counts = Counts()
    counts.remove("a")
    assert (counts.of("a"), len(counts)) == (0, 0)
