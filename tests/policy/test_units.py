from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.units import (
    Frequency,
    exact_duration,
    exact_rate,
    format_age,
    format_duration,
    format_share,
    format_size,
    parse_duration,
    parse_frequency,
    parse_rate,
    parse_size,
)
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


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("123", 123),
        ("123B", 123),
        ("1K", 1024),
        ("500M", 500 * 1024**2),
        ("50G", 50 * 1024**3),
        ("50g", 50 * 1024**3),
        ("50GB", 50 * 1024**3),
        ("50GiB", 50 * 1024**3),
        ("1.5T", 3 * 1024**4 // 2),
        (" 1K ", 1024),
    ],
)
def test_a_size_is_a_number_and_a_power_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "1,5G", "1.G", ".5G", "1e3", "50 G", "50P", "50GG", "1G1M", "٣G"])
def test_anything_else_is_no_size_and_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 50G$"):
        parse_size(text)


@given(st.integers(0, 10**6), st.sampled_from([("", 1), ("K", 2**10), ("M", 2**20), ("G", 2**30), ("T", 2**40)]))
def test_any_whole_number_counts_in_its_power(number: int, unit: tuple[str, int]) -> None:
    assert parse_size(f"{number}{unit[0]}") == number * unit[1]


@given(st.text())
def test_any_text_is_a_size_or_a_value_error(text: str) -> None:
    found = outcome(ValueError, parse_size, text)
    assert repr(text) in str(found) if isinstance(found, ValueError) else found >= 0


@pytest.mark.parametrize(
    ("text", "rate"), [("0", 0), ("0/s", 0), ("100/s", 100), ("20M/s", 20 * 1024**2), (" 1.5G/s ", 3 * 1024**3 // 2)]
)
def test_a_rate_is_a_size_by_the_second(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "20M", "20M/", "/s", "20M/m", "20M/s/s", "20 M/s", "-1M/s", "fast/s"])
def test_anything_else_is_no_rate_and_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 20M/s$"):
        parse_rate(text)


@given(st.text())
def test_any_text_is_a_rate_or_a_value_error(text: str) -> None:
    found = outcome(ValueError, parse_rate, text)
    assert repr(text) in str(found) if isinstance(found, ValueError) else found >= 0


@pytest.mark.parametrize(
    ("text", "frequency", "said"),
    [
        ("50/s", Frequency(50, 1), "50 in a second"),
        ("600/m", Frequency(600, 60), "600 in a minute"),
        (" 1000/h ", Frequency(1000, 3600), "1000 in an hour"),
    ],
)
def test_a_frequency_is_a_number_of_times(text: str, frequency: Frequency, said: str) -> None:
    assert parse_frequency(text) == frequency
    assert str(frequency) == said


@pytest.mark.parametrize("text", ["0", "0/s", "0/h", " 0 "])
def test_no_times_is_any_number_of_times(text: str) -> None:
    assert parse_frequency(text) is None


@pytest.mark.parametrize("text", ["", "50", "50/", "/s", "50/d", "5.5/s", "-5/s", "50 /s", "50/ss", "1" * 5000 + "/s"])
def test_anything_else_is_no_frequency_and_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 50/s$"):
        parse_frequency(text)


@given(st.integers(1, 10**9 - 1), st.sampled_from([("s", 1), ("m", 60), ("h", 3600)]))
def test_any_number_of_times_counts_in_its_unit(times: int, unit: tuple[str, int]) -> None:
    found = parse_frequency(f"{times}/{unit[0]}")
    assert found is not None
    assert found.rate == times / unit[1]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (120 * 1024, "120 KiB"),
        (20 * 1024**3, "20.0 GiB"),
        (1023 * 1024**2, "1.0 GiB"),
        (1024**5, "1.0 PiB"),
        (5000 * 1024**5, "5000 PiB"),
    ],
)
def test_bytes_are_shown_in_the_units_of_iec(count: int, text: str) -> None:
    assert format_size(count) == text


@given(st.integers(0, 2**63))
def test_what_is_shown_is_read_again_as_about_the_same(count: int) -> None:
    shown = format_size(count).replace(" ", "")
    if "PiB" not in shown:
        assert abs(parse_size(shown) - count) <= count * 0.05


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.5, "0.5 s"),
        (30, "30 s"),
        (119, "119 s"),
        (120, "2 min"),
        (150, "2.5 min"),
        (7200, "2 h"),
        (30 * 86400, "30 d"),
    ],
)
def test_durations_are_shown_in_one_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "text"), [(0.0, "0 %"), (0.001, "1 %"), (0.5, "50 %"), (0.999, "99 %"), (1.0, "100 %")]
)
def test_all_and_nothing_are_said_only_where_they_are_true(part: float, text: str) -> None:
    assert format_share(part) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (0.4, "0 s"), (119, "119 s"), (179, "2 min"), (10_000, "2 h"), (200_000, "2 d")]
)
def test_an_age_is_shown_in_whole_units(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B/s"), (1023, "1023 B/s"), (1000 << 20, "1000 MiB/s"), (1025 << 10, "1025 KiB/s"), (2 << 60, "2048 PiB/s")],
)
def test_a_rate_that_was_set_is_told_to_the_byte(count: int, text: str) -> None:
    assert exact_rate(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.5, "0.5 s"),
        (60.0, "1 min"),
        (90.0, "90 s"),
        (300.0, "5 min"),
        (5400.0, "90 min"),
        (86400.0, "1 d"),
    ],
)
def test_a_duration_that_was_set_is_told_exactly(seconds: float, text: str) -> None:
    assert exact_duration(seconds) == text
