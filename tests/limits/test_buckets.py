from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from crproxy.limits.buckets import Bucket, Buckets
from crproxy.sharing.levels import OwnLevel

BURST = 0.1


def test_what_was_put_in_drains_at_the_rate_but_for_a_burst() -> None:
    clock = Clock()
    bucket = Bucket(OwnLevel(), clock, lambda: 100)
    bucket.add(50)
    assert bucket.wait() == pytest.approx(0.5 - BURST)
    clock.advance(0.3)
    assert bucket.wait() == pytest.approx(0.2 - BURST)
    clock.advance(0.1)
    assert bucket.wait() == 0
    assert bucket.content > 0
    clock.advance(0.1)
    assert bucket.content == 0


def test_more_than_it_should_hold_is_taken() -> None:
    bucket = Bucket(OwnLevel(), Clock(), lambda: 100)
    assert bucket.add(1000) == 1000
    assert bucket.add(1000) == 2000
    assert bucket.wait() == pytest.approx(20 - BURST)


def test_what_is_put_in_is_put_into_its_parents_and_the_longest_wait_counts() -> None:
    clock = Clock()
    total = Bucket(OwnLevel(), clock, lambda: 50)
    client = Bucket(OwnLevel(), clock, lambda: 1000, total)
    transfer = Bucket(OwnLevel(), clock, lambda: 100, client)
    transfer.add(100)
    assert (transfer.content, client.content, total.content) == (100, 100, 100)
    assert transfer.wait() == pytest.approx(2 - BURST)
    assert client.wait() == pytest.approx(2 - BURST)


def test_without_a_rate_there_is_nothing_to_wait_for() -> None:
    bucket = Bucket(OwnLevel(), Clock(), lambda: None)
    bucket.add(10**12)
    assert bucket.wait() == 0
    assert bucket.content == 0


def test_the_rate_may_change() -> None:
    rates: list[float | None] = [100]
    bucket = Bucket(OwnLevel(), Clock(), lambda: rates[0])
    bucket.add(100)
    rates[0] = 50
    assert bucket.wait() == pytest.approx(2 - BURST)
    rates[0] = None
    assert bucket.wait() == 0


@given(st.lists(st.tuples(st.integers(0, 10_000), st.floats(0, 0.09)), min_size=1, max_size=50))
def test_who_waits_as_told_and_a_little_is_late_has_the_rate_exactly(pieces: list[tuple[int, float]]) -> None:
    """Virtual scheduling: what a late timer leaves unused follows; never more than the rate and the burst."""
    clock, rate = Clock(), 1000
    bucket = Bucket(OwnLevel(), clock, lambda: rate)
    sent = 0
    for size, late in pieces:
        bucket.add(size)
        sent += size
        if (wait := bucket.wait()) > 0:
            # All that was sent so far has this much time, and not a moment more.
            assert sent / rate == pytest.approx(clock.seconds() + wait + BURST)
            clock.advance(wait + late)


def test_a_bucket_is_the_same_until_it_is_empty() -> None:
    clock = Clock()
    buckets = Buckets(lambda _: Bucket(OwnLevel(), clock, lambda: 1))
    buckets.get("a").add(5)
    assert buckets.get("a").content == 5
    assert len(buckets) == 1


def test_s20_100_000_clients_in_a_minute_leave_no_more_than_a_few_buckets() -> None:
    """Accounting itself must not fill the memory. Each client uses a second's worth of its rate."""
    clock = Clock()
    buckets = Buckets(lambda _: Bucket(OwnLevel(), clock, lambda: 1))
    most = 0
    for number in range(100_000):
        buckets.get(f"client {number}").add(1)
        clock.advance(60 / 100_000)
        most = max(most, len(buckets))
    # Of one second there are 1,667, and twice as many may be kept.
    assert most < 2 * 1_700
    clock.advance(2)
    for number in range(2 * most):
        buckets.get(f"other {number}")
    assert len(buckets) <= most


def test_where_none_drains_the_oldest_are_forgotten() -> None:
    clock = Clock()
    buckets = Buckets(lambda _: Bucket(OwnLevel(), clock, lambda: 0.001))
    held = buckets.get("held")
    held.users = 1
    for number in range(250_000):
        buckets.get(f"client {number}").add(1000)
    assert len(buckets) <= 100_001
    assert buckets.get("held") is held
    assert buckets.get("client 249999").content == 1000
    assert buckets.get("client 0").content == 0


def test_what_is_in_use_is_kept_though_it_is_empty() -> None:
    clock = Clock()
    buckets = Buckets(lambda _: Bucket(OwnLevel(), clock, lambda: 1))
    for number in range(3000):
        buckets.get(f"client {number}").users = 1
    first = buckets.get("client 0")
    for number in range(10_000):
        buckets.get(f"other {number}")
    assert buckets.get("client 0") is first
    assert len(buckets) <= 2 * 3000


def test_it_is_full_as_long_as_the_rate_is_what_holds_back() -> None:
    clock = Clock()
    bucket = Bucket(OwnLevel(), clock, lambda: 1000)
    for _ in range(20):
        bucket.add(200)
        assert bucket.is_full
        clock.advance(bucket.wait())
        assert bucket.is_full, "what waited no more goes on at once"


def test_it_is_not_at_half_the_rate_nor_without_one() -> None:
    clock = Clock()
    rate: int | None = 1000
    bucket = Bucket(OwnLevel(), clock, lambda: rate)
    for _ in range(20):
        bucket.add(20)
        assert not bucket.is_full
        clock.advance(0.04)
    bucket.add(1000)
    rate = None
    assert not bucket.is_full
