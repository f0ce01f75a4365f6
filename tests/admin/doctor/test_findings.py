from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.admin.doctor.findings import (
    Area,
    Finding,
    Outcome,
    failed,
    fine,
    first_cause,
    settled,
    skipped,
    warning,
    worst,
)
from crproxy.admin.doctor.report import exit_status

FINDINGS = st.lists(st.builds(Finding, st.sampled_from(Area), st.just("x"), st.sampled_from(Outcome), st.just("y")))


def test_a_cause_is_named_before_what_it_causes() -> None:
    found = [
        warning(Area.CONFIGURATION, "a", "", ""),
        failed(Area.UPSTREAMS, "b", "", ""),
        failed(Area.CLOCK, "c", "", ""),
        failed(Area.CLOCK, "d", "", ""),
    ]
    cause = first_cause(found)
    assert cause is not None
    assert cause.subject == "c"


def test_without_failures_the_first_warning_is_named() -> None:
    found = [fine(Area.DNS, "a", ""), warning(Area.ACCESS, "b", "", ""), warning(Area.DISK, "c", "", "")]
    cause = first_cause(found)
    assert cause is not None
    assert cause.subject == "c"


@given(FINDINGS)
def test_there_is_a_cause_where_not_all_is_well(found: list[Finding]) -> None:
    cause = first_cause(found)
    assert (cause is None) == (worst(found) is Outcome.OK)
    assert cause is None or cause.outcome is worst(found)


@pytest.mark.parametrize(
    ("found", "status", "strictly"),
    [
        ([], 0, 0),
        ([fine(Area.DNS, "", ""), skipped(Area.DNS, "", "")], 0, 0),
        ([warning(Area.DNS, "", "", ""), skipped(Area.DNS, "", "")], 0, 2),
        ([failed(Area.DNS, "", "", ""), warning(Area.DNS, "", "", "")], 1, 1),
    ],
)
def test_the_exit_status(found: list[Finding], status: int, strictly: int) -> None:
    assert (exit_status(found, strict=False), exit_status(found, strict=True)) == (status, strictly)


def test_what_follows_from_another_fault_is_no_fault_of_its_own() -> None:
    late = failed(Area.CERTIFICATES, "cr.test", "its certificate ended", "Renew it", depends_on=Area.CLOCK)
    other = failed(Area.CERTIFICATES, "quay.cr.test", "is for other names", "Get one")
    assert settled([late, other], {Area.CLOCK}) == [
        skipped(Area.CERTIFICATES, "cr.test", "it depends on what failed: clock"),
        other,
    ]
    assert settled([late, other], {Area.DNS}) == [late, other]
