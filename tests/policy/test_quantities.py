from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.quantities import parse_duration
from tests.outcomes import outcome


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("1.5s", 1.5),
        ("5m", 300),
        ("2h", 7200),
        ("30d", 2592000),
        ("0s", 0),
        (" 30s ", 30),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "30 s", "-1s", "1,5s", "1.s", ".5s", "1e3s", "30S", "30w", "30ss", "1h30m", "٣s", "inf s"]
)
def test_anything_else_is_no_duration_and_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 30s$"):
        parse_duration(text)


@given(st.integers(0, 10**9), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]))
def test_any_whole_number_counts_in_its_unit(number: int, unit: tuple[str, float]) -> None:
    assert parse_duration(f"{number}{unit[0]}") == number * unit[1]


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    found = outcome(ValueError, parse_duration, text)
    assert repr(text) in str(found) if isinstance(found, ValueError) else found >= 0
