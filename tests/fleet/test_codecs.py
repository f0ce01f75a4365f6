from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crproxy.fleet.codecs import KINDS
from crproxy.oci.names import Registry
from crproxy.policy.quotas import Limit, Limited, Quota
from crproxy.upstream.availability import Host, Outage
from tests.outcomes import outcome
from tests.strategies import hosts

NOW = 1_800_000_000.0
# In eighths of a second, so that sums are exact.
eighths = st.integers(-10_000_000, 10_000_000).map(lambda number: number / 8)
past = eighths.map(lambda seconds: NOW - abs(seconds))
times = eighths.map(lambda seconds: NOW + seconds)
texts = st.text(max_size=50)
wholes = st.integers(0, 10**9)
registries = hosts.map(Registry.parse)
limited = st.builds(Limited, registries, texts, texts, texts, texts)
host = st.builds(Host, texts, texts)

# No parametrize: pytest-twisted wraps what @given has made once more each time.
names = st.sampled_from(sorted(KINDS))
timed = st.sampled_from(sorted(KINDS.keys() - {"slow hosts", "http-01", "tls-alpn-01"}))
RECORDS = {
    "quotas": (registries, st.builds(Quota, wholes, wholes, st.none() | wholes, past)),
    "limits": (limited, st.builds(Limit, past, times, times, texts)),
    "limited repositories": (limited, st.dictionaries(texts, times, max_size=3)),
    "outages": (host, st.builds(Outage, past, times)),
    "slow hosts": (host, eighths.map(abs)),
    "resting endpoints": (st.tuples(texts, texts), past),
    "blamed endpoints": (st.tuples(texts, texts, texts), past),
    "http-01": (texts, texts),
    "tls-alpn-01": (texts, texts),
}


def over_json(said: Any) -> Any:
    return json.loads(json.dumps(said))


def test_each_kind_is_tried() -> None:
    assert RECORDS.keys() == KINDS.keys()


@settings(max_examples=500)
@given(name=names, data=st.data(), ahead=eighths)
def test_what_is_told_is_what_is_heard(name: str, data: st.DataObject, ahead: float) -> None:
    keys, values = RECORDS[name]
    key, value, kind = data.draw(keys), data.draw(values), KINDS[name]
    assert kind.key_from(json.loads(kind.field(key))) == key
    assert kind.value_from(over_json(kind.value_to(value, ahead)), ahead, NOW) == value
    assert isinstance(kind.lasts(value, NOW), float)


@settings(max_examples=500)
@given(name=timed, data=st.data(), ours=eighths, theirs=eighths)
def test_clocks_that_differ_make_no_difference(name: str, data: st.DataObject, ours: float, theirs: float) -> None:
    kind, value = KINDS[name], data.draw(RECORDS[name][1])
    heard = kind.value_from(over_json(kind.value_to(value, theirs)), ours, NOW + ours - theirs)
    assert kind.value_to(heard, ours) == kind.value_to(value, theirs)


def test_what_begins_later_has_begun() -> None:
    """By a clock that is a little ahead; else it would not count, and who finds that drops it for all."""
    assert KINDS["outages"].value_from([NOW + 1, NOW + 9], 0.0, NOW) == Outage(NOW, NOW + 9)
    assert KINDS["limits"].value_from([NOW + 1, NOW + 9, NOW + 9, ""], 0.0, NOW) == Limit(NOW, NOW + 9, NOW + 9, "")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=6) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
)


@settings(max_examples=1000)
@given(name=names, said=anything, ahead=eighths)
def test_anything_else_is_a_mistake_and_nothing_worse(name: str, said: Any, ahead: float) -> None:
    kind = KINDS[name]
    outcome(ValueError, kind.key_from, said)
    found = outcome(ValueError, kind.value_from, said, ahead, NOW)
    if not isinstance(found, ValueError):
        json.dumps(kind.value_to(found, ahead))


@pytest.mark.parametrize("name", KINDS)
def test_a_text_without_end_is_none(name: str) -> None:
    long = "x" * 5000
    for said in (long, [long] * 2, [long] * 3, [long] * 4, ["a.example", *[long] * 4], {long: 1.0}):
        assert isinstance(outcome(ValueError, KINDS[name].key_from, said), ValueError)


def test_what_is_never_told() -> None:
    assert not KINDS.keys() & {"tokens", "scopes", "right passwords", "holders", "flights", "metrics", "upstreams up"}
