from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.authorities import OVERLAP_SECONDS, Standing, counting, is_due, signer_for

DAY = 86400.0
NAMES = frozenset({"ghcr.io", "quay.io"})
FIRST = Standing(NAMES, 0.0, 1000 * DAY)
SECOND = Standing(NAMES, 500 * DAY, 1500 * DAY)
WIDER = Standing(NAMES | {"docker.io"}, 500 * DAY, 1500 * DAY)


def test_the_first_is_due() -> None:
    assert is_due([], NAMES, 0.0)


def test_one_that_counts_for_long_is_enough() -> None:
    assert not is_due([FIRST], NAMES, 0.0)
    assert not is_due([FIRST], NAMES, 1000 * DAY - OVERLAP_SECONDS - 1)


def test_one_that_ends_before_clients_have_changed_over_is_not() -> None:
    assert is_due([FIRST], NAMES, 1000 * DAY - OVERLAP_SECONDS)
    assert not is_due([FIRST, SECOND], NAMES, 1000 * DAY - OVERLAP_SECONDS)


def test_one_of_the_time_to_come_is_not() -> None:
    assert is_due([SECOND], NAMES, 0.0)


def test_with_other_names_another_one_is_due() -> None:
    assert is_due([FIRST], NAMES | {"docker.io"}, 0.0)
    assert is_due([FIRST], {"ghcr.io"}, 0.0)


def test_an_old_one_signs_while_clients_change_over() -> None:
    known = [SECOND, FIRST]
    assert signer_for(known, "ghcr.io", 499 * DAY) == FIRST
    assert signer_for(known, "ghcr.io", 500 * DAY + OVERLAP_SECONDS - 1) == FIRST
    assert signer_for(known, "ghcr.io", 500 * DAY + OVERLAP_SECONDS) == SECOND


def test_what_an_old_one_may_not_sign_the_new_one_signs_at_once() -> None:
    known = [FIRST, WIDER]
    assert signer_for(known, "docker.io", 501 * DAY) == WIDER
    assert signer_for(known, "ghcr.io", 501 * DAY) == FIRST


def test_what_has_ended_signs_nothing() -> None:
    assert signer_for([FIRST], "ghcr.io", 1000 * DAY) is None
    assert signer_for([FIRST, SECOND], "ghcr.io", 1000 * DAY) == SECOND


def test_nobody_signs_for_a_name_of_none() -> None:
    assert signer_for([FIRST, WIDER], "evil.test", 501 * DAY) is None
    assert signer_for([], "ghcr.io", 0.0) is None


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 1000), st.sets(st.sampled_from("abc"))), max_size=5),
    st.integers(0, 2000),
)
def test_who_signs_may(made: list[tuple[int, int, set[str]]], day: int) -> None:
    known = [Standing(frozenset(names), since * DAY, (since + lasts) * DAY) for since, lasts, names in made]
    found = signer_for(known, "a", day * DAY)
    may = [one for one in known if "a" in one.names and one.counts(day * DAY)]
    assert (found in may) if may else found is None


def test_clients_are_to_trust_both_while_they_change_over() -> None:
    assert counting([SECOND, FIRST], 500 * DAY) == [FIRST, SECOND]
    assert counting([SECOND, FIRST], 500 * DAY + OVERLAP_SECONDS - 1) == [FIRST, SECOND]
    assert counting([SECOND, FIRST], 500 * DAY + OVERLAP_SECONDS) == [SECOND]


def test_one_that_alone_may_sign_for_some_name_is_trusted_until_it_ends() -> None:
    assert counting([WIDER, Standing(NAMES, 600 * DAY, 2000 * DAY)], 1400 * DAY) == [
        WIDER,
        Standing(NAMES, 600 * DAY, 2000 * DAY),
    ]
    assert counting([WIDER], 1500 * DAY) == []


@given(
    st.lists(
        st.builds(
            Standing,
            st.frozensets(st.sampled_from("abc"), min_size=1),
            st.integers(0, 300).map(lambda days: days * DAY),
            st.integers(301, 900).map(lambda days: days * DAY),
        ),
        unique=True,
    ),
    st.sampled_from("abc"),
    st.integers(0, 900).map(lambda days: days * DAY),
)
def test_whoever_signs_is_trusted(known: list[Standing], name: str, now: float) -> None:
    signer = signer_for(known, name, now)
    assert signer is None or signer in counting(known, now)
