from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crproxy.fleet.common_time import CommonTime
from crproxy.fleet.tag_codecs import (
    history_from,
    history_to,
    pins_from,
    pins_to,
    sighting_from,
    sighting_to,
)
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Repository, Tag
from crproxy.policy.minimum_age import TagChange
from crproxy.policy.united_histories import MOST_CHANGES
from crproxy.store.tag_pins import PinChange
from tests import strategies
from tests.fleet.fake import FakeValkey
from tests.outcomes import outcome

NOW = 1_800_000_000.0
# In eighths of a second, so that sums are exact.
past = st.integers(0, 10_000_000).map(lambda number: NOW - number / 8)
clocks = st.sampled_from([0.0, 0.5, -1.5, 7200.0, -86400.0])
digests = st.none() | st.binary(max_size=3).map(Digest.of)
changes = st.builds(
    lambda digest, times, asked_by: TagChange(digest, min(times), max(times), asked_by),
    digests,
    st.tuples(past, past),
    st.none() | st.ip_addresses().map(str),
)
pins = st.builds(
    PinChange,
    st.builds(lambda host, path: Repository.parse(Registry.parse(host), path), strategies.hosts, strategies.names),
    strategies.tags.map(Tag),
    digests,
    past,
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | past,
    lambda inside: st.lists(inside, max_size=6) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
)


def at(ahead: float) -> CommonTime:
    fake = FakeValkey()
    fake.ahead = ahead
    return CommonTime(fake.valkey)


@given(said=st.lists(changes, max_size=5), ahead=clocks)
def test_a_history_that_is_told_is_heard(said: list[TagChange], ahead: float) -> None:
    assert history_from(history_to(said, at(ahead)), at(ahead), NOW) == said


@given(said=st.lists(pins, max_size=5), ahead=clocks)
def test_pins_that_are_told_are_heard(said: list[PinChange], ahead: float) -> None:
    assert pins_from(pins_to(said, at(ahead)), at(ahead), NOW) == said


@given(seen=past, ours=clocks, theirs=clocks)
def test_clocks_that_differ_make_no_difference_beyond_what_a_clock_may_be_wrong_by(
    seen: float, ours: float, theirs: float
) -> None:
    heard = sighting_from(sighting_to(seen, at(theirs)), at(ours), NOW + ours - theirs)
    by = sum(ahead if abs(ahead) > 2 else 0.0 for ahead in (ours, -theirs))
    assert heard == pytest.approx(seen + by, abs=0.001)


def test_a_clock_that_is_compared_anew_each_second_changes_no_time() -> None:
    fake = FakeValkey()
    time = CommonTime(fake.valkey)
    for ahead in (0.0, 1.9, -1.9, 100.0, 100.5, 99.0):
        fake.ahead = ahead
        told = time.told(NOW)
        assert time.told(time.heard(told)) == told
        assert told == (NOW if abs(ahead) < 2 else NOW - 100)


@pytest.mark.parametrize("moment", [NOW + 61, -1, "1", None, True, [1]])
def test_what_has_not_been_yet_is_no_time(moment: object) -> None:
    said = json.dumps(moment).encode()
    assert isinstance(outcome(ValueError, sighting_from, said, at(0), NOW), ValueError)
    digest = str(Digest.of(b""))
    assert history_from(json.dumps([[digest, moment, moment, ""], [digest, 1, 2, ""]]).encode(), at(0), NOW) == [
        TagChange(Digest.of(b""), 1, 2)
    ]
    assert pins_from(json.dumps([["quay.io", "a/b", "v1", digest, moment]]).encode(), at(0), NOW) == []


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_spoils_the_whole(moment: float) -> None:
    for read, said in ((sighting_from, moment), (history_from, [["", moment, moment, ""]]), (pins_from, [moment])):
        assert isinstance(outcome(ValueError, read, json.dumps(said).encode(), at(0), NOW), ValueError)


@settings(max_examples=500)
@given(said=anything.map(lambda said: json.dumps(said).encode()) | st.binary(max_size=50), ahead=clocks)
def test_anything_else_is_a_mistake_and_nothing_worse(said: bytes, ahead: float) -> None:
    for read in (history_from, sighting_from, pins_from):
        outcome(ValueError, read, said, at(ahead), NOW)


@given(said=st.lists(st.none() | st.text(max_size=5) | st.lists(past | st.just(""), max_size=5)), change=changes)
def test_what_cannot_be_read_is_left_out(said: list[Any], change: TagChange) -> None:
    kept = [*json.loads(history_to([change], at(0))), *said]
    assert history_from(json.dumps(kept).encode(), at(0), NOW)[:1] == [change]


def test_there_are_not_too_many() -> None:
    many = [TagChange(Digest.of(b""), float(number), float(number)) for number in range(MOST_CHANGES + 1)]
    assert isinstance(outcome(ValueError, history_from, history_to(many, at(0)), at(0), NOW), ValueError)
    assert isinstance(outcome(ValueError, pins_from, json.dumps([0] * 10_001).encode(), at(0), NOW), ValueError)


@pytest.mark.parametrize("asked_by", ["x" * 101, "a\nb", 1, None])
def test_who_asked_has_an_address(asked_by: object) -> None:
    assert history_from(json.dumps([["", 1, 1, asked_by]]).encode(), at(0), NOW) == []
