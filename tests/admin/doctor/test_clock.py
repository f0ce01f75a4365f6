from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.admin.doctor.clock import ClockReading, check_clock
from crproxy.admin.doctor.http_probe import moment


@pytest.mark.parametrize(
    ("behind", "outcome", "said"),
    [
        (0.4, "ok", "agrees with 1 others to 1 s"),
        (-29.0, "ok", "agrees"),
        (31.0, "warning", "is 31 s behind, by quay.io"),
        (-150.0, "warning", "is 2.5 min ahead"),
        (301.0, "failed", "is 5 min behind"),
        (-7300.0, "failed", "is 2 h ahead"),
        (3 * 86400.0, "failed", "is 3 d behind"),
    ],
)
def test_by_how_much_it_is_off(behind: float, outcome: str, said: str) -> None:
    (found,) = check_clock([None, ClockReading("quay.io", behind)])
    assert found.outcome.value == outcome
    assert said in found.text


def test_one_that_is_wrong_itself_is_outvoted() -> None:
    (found,) = check_clock([ClockReading("a", 0.0), ClockReading("b", 90000.0), ClockReading("c", 1.0)])
    assert found.outcome.value == "ok"


def test_where_nobody_answered_nothing_is_said() -> None:
    (found,) = check_clock([None])
    assert found.outcome.value == "skipped"


def test_a_date_is_read() -> None:
    assert moment("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777.0


@given(st.text())
def test_what_is_no_date_says_nothing(text: str) -> None:
    assert moment(text) is None or any(character.isdigit() for character in text)
