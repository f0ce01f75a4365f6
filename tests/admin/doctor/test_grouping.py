from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.admin.doctor.findings import Area, Finding, Outcome, Told, failed, fine, skipped, warning
from crproxy.admin.doctor.grouping import grouped, listed

TOLD = Told("they lead elsewhere", "Correct their records")
TEXTS = st.sampled_from(["one", "another"])
FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from([Area.DNS, Area.UPSTREAMS]),
        st.sampled_from(["a", "b: name", "c: name"]),
        st.sampled_from(Outcome),
        TEXTS,
        common=st.none() | st.builds(Told, TEXTS),
    )
)


def test_what_has_a_cause_in_common_is_one() -> None:
    found = [failed(Area.DNS, name, f"{name} leads elsewhere", "", common=TOLD) for name in ("a", "b")]
    assert grouped(found) == [failed(Area.DNS, "a, b", TOLD.text, TOLD.advice, common=TOLD)]


def test_one_alone_says_what_is_its_own() -> None:
    alone = failed(Area.DNS, "a", "a leads elsewhere", "Correct its record", common=TOLD)
    assert grouped([alone]) == [alone]


def test_what_is_not_alike_stays_apart() -> None:
    found = [
        failed(Area.DNS, "a", "x", ""),
        warning(Area.DNS, "b", "x", ""),
        failed(Area.PORTS, "c", "x", ""),
        failed(Area.DNS, "d", "y", ""),
        failed(Area.DNS, "e", "x", "do this"),
    ]
    assert grouped(found) == found


def test_what_is_well_is_told_for_each_unless_it_says_otherwise() -> None:
    apart = [fine(Area.PERMISSIONS, name, "can be read") for name in ("a", "b")]
    assert grouped(apart) == apart
    good = Told("good until tomorrow")
    (together,) = grouped(fine(Area.CERTIFICATES, name, good.text, good) for name in ("a", "b"))
    assert together.subject == "a, b"


@pytest.mark.parametrize(
    ("subjects", "together"),
    [
        (["quay.io: name", "ghcr.io: name"], "quay.io, ghcr.io: name"),
        (["s3://b: write", "s3://b: read"], "s3://b: write, read"),
        (["quay.io: name", "ghcr.io: login"], "quay.io: name, ghcr.io: login"),
        (["a", "b: name"], "a, b: name"),
    ],
)
def test_what_is_written_in_each_is_written_once(subjects: list[str], together: str) -> None:
    (one,) = grouped(skipped(Area.UPSTREAMS, subject, "x") for subject in subjects)
    assert one.subject == together


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2, 3"), (5, "0, 1, 2 and 2 more"), (15, "0, 1, 2 and 12 more")],
)
def test_many_are_counted(number: int, text: str) -> None:
    assert listed([str(one) for one in range(number)]) == text


@given(FINDINGS)
def test_nothing_is_lost_and_nothing_is_told_twice(found: list[Finding]) -> None:
    together = grouped(found)
    assert {(one.area, one.outcome) for one in together} == {(one.area, one.outcome) for one in found}
    bad = [one for one in together if one.outcome is not Outcome.OK]
    causes = [(one.area, one.outcome, one.common or Told(one.text, one.advice)) for one in bad]
    assert len(causes) == len(set(causes))
