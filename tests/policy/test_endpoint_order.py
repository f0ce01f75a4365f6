from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.endpoint_order import Failed, Health, counts, in_order, that_counts, to_blame

NOW = 1_000_000.0
STANDINGS = st.lists(
    st.builds(Health, st.booleans(), st.booleans(), st.none() | st.floats(0, NOW)), min_size=1, max_size=6
).filter(lambda health: any(one.trust_tags for one in health))
MIRROR, OWN = Health(trust_tags=False), Health()


@pytest.mark.parametrize(
    ("health", "by_digest", "order"),
    [
        ([MIRROR, OWN], True, [0, 1]),
        ([MIRROR, OWN], False, [1]),
        ([OWN, OWN], False, [0, 1]),
        ([Health(rests=True), OWN], True, [1, 0]),
        ([Health(rests=True), Health(rests=True)], True, [0, 1]),
        ([Health(blamed=1.0), OWN], True, [1]),
        ([Health(blamed=1.0), Health(rests=True)], True, [1]),
        ([Health(blamed=2.0), Health(blamed=1.0)], True, [1, 0]),
        ([Health(blamed=1.0), Health(blamed=1.0)], True, [0, 1]),
    ],
)
def test_who_is_asked(health: list[Health], by_digest: bool, order: list[int]) -> None:
    assert in_order(health, by_digest=by_digest) == order


@given(STANDINGS, st.booleans())
def test_somebody_is_always_asked_and_nobody_twice(health: list[Health], by_digest: bool) -> None:
    order = in_order(health, by_digest=by_digest)
    assert order
    assert len(set(order)) == len(order)
    assert set(order) <= set(range(len(health)))


@given(STANDINGS)
def test_of_a_tag_nobody_is_asked_who_is_not_trusted_with_it(health: list[Health]) -> None:
    assert all(health[place].trust_tags for place in in_order(health, by_digest=False))


@given(STANDINGS, st.booleans())
def test_who_rests_comes_last_and_who_gave_wrong_bytes_not_at_all(health: list[Health], by_digest: bool) -> None:
    order = in_order(health, by_digest=by_digest)
    asked = [health[place] for place in order]
    may = [one for one in health if by_digest or one.trust_tags]
    if any(one.blamed is None for one in may):
        assert len(asked) == len([one for one in may if one.blamed is None])
        assert [one.rests for one in asked] == sorted(one.rests for one in asked)
        for rests in (False, True):
            # Those of a kind keep the order of the configuration.
            alike = [place for place in order if health[place].rests is rests]
            assert alike == sorted(alike)
    else:
        assert len(asked) == len(may)
        assert [one.blamed for one in asked] == sorted(one.blamed or 0.0 for one in asked)


NO, NO_LOGIN, GONE, GONE_LOGIN = (Failed(denied, login) for denied in (True, False) for login in (False, True))


@pytest.mark.parametrize(
    ("failed", "place"),
    [
        ([NO, GONE], 1),
        ([GONE, NO], 1),
        ([NO_LOGIN, GONE], 0),
        ([NO_LOGIN, NO], 0),
        ([GONE_LOGIN, NO], 1),
        ([NO_LOGIN, GONE_LOGIN], 1),
        ([NO_LOGIN, NO_LOGIN, GONE], 1),
        ([NO], 0),
    ],
)
def test_whose_word_counts(failed: list[Failed], place: int) -> None:
    assert that_counts(failed) == place


@pytest.mark.parametrize(
    ("givers", "blamed"), [([], []), ([0], [0]), ([1], [1]), ([0, 1], [0]), ([2, 0], [0]), ([2, 1, 0, 1], [0, 1])]
)
def test_who_is_to_blame(givers: list[int], blamed: list[int]) -> None:
    assert to_blame(givers) == blamed


@given(st.lists(st.integers(0, 5)))
def test_somebody_is_to_blame_where_somebody_gave_it(givers: list[int]) -> None:
    assert bool(to_blame(givers)) is bool(givers)
    assert set(to_blame(givers)) <= set(givers)


@given(st.lists(st.booleans(), min_size=2, max_size=5).filter(any), st.lists(st.booleans(), max_size=10))
def test_whoever_is_right_is_found_before_long(right: list[bool], cuts: list[bool]) -> None:
    """Each pull is from the first that is asked; where that is cut the next goes on, and is at fault as well."""
    blamed: dict[int, float] = {}
    for moment in range(len(cuts) + 2 * len(right)):
        order = in_order([Health(blamed=blamed.get(place)) for place in range(len(right))], by_digest=True)
        givers = order[: 2 if moment < len(cuts) and cuts[moment] else 1]
        if all(right[place] for place in givers):
            return
        for place in to_blame(givers):
            blamed[place] = float(moment)
    raise AssertionError(right, cuts)


@pytest.mark.parametrize(
    ("noted", "still"), [(NOW, True), (NOW - 29.9, True), (NOW - 30, False), (NOW + 1, False), (0.0, False)]
)
def test_how_long_it_counts(noted: float, still: bool) -> None:
    assert counts(noted, NOW, 30.0) is still
