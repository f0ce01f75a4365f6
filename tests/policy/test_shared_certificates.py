from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.shared_certificates import ALONE_AFTER, Attempt, Version, asks_alone, objection

NOW = 1_800_000_000.0
WEEK = 7 * 86400.0

versions = st.builds(Version, st.floats(0, 4e9), st.binary(min_size=32, max_size=32))


@given(st.lists(versions, min_size=1, max_size=6), st.randoms())
def test_the_newest_is_the_same_whatever_was_seen_first(found: list[Version], chance: Any) -> None:
    other = list(found)
    chance.shuffle(other)
    assert max(found) == max(other)
    assert max(found).not_before == max(version.not_before for version in found)


@given(
    failures=st.integers(1, 9999),
    until=st.floats(NOW - WEEK, NOW + WEEK),
    why=st.text(max_size=1000),
    ahead=st.floats(-1e4, 1e4),
)
def test_what_is_told_of_an_attempt_is_what_others_know(failures: int, until: float, why: str, ahead: float) -> None:
    """Each by its own clock: one of them is ahead of that of all."""
    read = Attempt.from_json(Attempt(failures, until, why).to_json(ahead), 0.0, NOW + 1e6)
    assert read is not None
    assert (read.failures, read.why) == (failures, why)
    assert math.isclose(read.until, until - ahead, abs_tol=1e-3)


KEYS = st.sampled_from(["failures", "until", "why", "x"])
LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text()
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=10)


@given(st.binary(max_size=300) | DOCUMENTS.map(lambda said: json.dumps(said).encode()))
def test_whatever_lies_there_is_read(text: bytes) -> None:
    read = Attempt.from_json(text, 5.0, NOW)
    if read is not None:
        assert 0 < read.failures < 10_000
        assert read.until <= NOW + WEEK
        assert len(read.why) <= 1000


GOOD: dict[str, Any] = {"failures": 2, "until": NOW + 60, "why": "x"}


@pytest.mark.parametrize(
    "more",
    [
        {"failures": 0},
        {"failures": -1},
        {"failures": True},
        {"failures": 1.5},
        {"failures": 10_000},
        {"failures": None},
        {"until": "soon"},
        {"until": True},
        {"until": None},
        {"until": 10**19},
        {"why": None},
        {"why": ["x"]},
    ],
)
def test_what_makes_no_sense_is_not_there(more: dict[str, Any]) -> None:
    assert Attempt.from_json(json.dumps(GOOD).encode(), 0.0, NOW) == Attempt(2, NOW + 60, "x")
    read = Attempt.from_json(json.dumps({**GOOD, **more}).encode(), 0.0, NOW)
    assert read is None or read.until == NOW + WEEK


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{}", b'{"until": 1e999, "failures": 1, "why": ""}', b"\xff"])
def test_what_is_no_attempt_is_not_there(text: bytes) -> None:
    assert Attempt.from_json(text, 0.0, NOW) is None


def test_a_long_text_is_cut() -> None:
    read = Attempt.from_json(Attempt(1, NOW, "x" * 5000).to_json(0.0), 0.0, NOW)
    assert read is not None
    assert len(read.why) == 1000


@pytest.mark.parametrize(("away", "alone"), [(0.0, False), (ALONE_AFTER - 1, False), (ALONE_AFTER, True), (1e9, True)])
def test_one_asks_alone_after_an_hour(away: float, *, alone: bool) -> None:
    assert asks_alone(away) is alone
    assert ALONE_AFTER == 3600


@pytest.mark.parametrize(
    ("names", "not_after", "why"),
    [
        ({"cr.test"}, NOW + 1, None),
        ({"a.test", "cr.test"}, NOW + 1, None),
        ({"cr.test"}, NOW, "it has ended"),
        ({"b.test", "a.test"}, NOW + 1, "it is for a.test, b.test"),
        (set(), NOW + 1, "it is for no name"),
        ({"*.test"}, NOW + 1, "it is for *.test"),
    ],
)
def test_what_is_against_a_certificate(names: set[str], not_after: float, why: str | None) -> None:
    assert objection(names, not_after, "cr.test", NOW) == why
