from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.tls.plan import NameState, Plan, State

NAMES = ("cr.test", "quay.cr.test", "ghcr.cr.test")
NOW = 1_000_000.0
DAY = 86400.0


@pytest.fixture
def plan() -> Plan:
    return Plan(NAMES)


def holding(*names: str) -> Plan:
    """A plan whose names have certificates of ninety days, from now on."""
    plan = Plan(names)
    for name in names:
        plan.holds(name, NOW, NOW + 90 * DAY)
    return plan


def state(plan: Plan, name: str, now: float = NOW) -> NameState:
    return next(one for one in plan.states(now) if one.name == name)


def test_what_has_none_is_due_in_order(plan: Plan) -> None:
    assert plan.due(NOW) == list(NAMES)
    assert [plan.rank(name) for name in (*NAMES, "other")] == [0, 1, 2, 3]
    assert state(plan, "cr.test") == NameState("cr.test", State.WAITING, None, None, NOW)


def test_what_is_under_way_is_not_begun_again(plan: Plan) -> None:
    plan.began("cr.test")
    assert plan.due(NOW) == ["quay.cr.test", "ghcr.cr.test"]
    assert state(plan, "cr.test") == NameState("cr.test", State.RENEWING)


def test_a_certificate_is_enough_until_its_last_third() -> None:
    plan = holding("cr.test")
    assert plan.due(NOW + 60 * DAY - 1) == []
    assert plan.next_time() == NOW + 60 * DAY
    assert plan.due(NOW + 60 * DAY) == ["cr.test"]
    assert state(plan, "cr.test") == NameState("cr.test", State.VALID, NOW + 90 * DAY, None, NOW + 60 * DAY)


def test_the_ca_may_want_another_moment() -> None:
    plan = holding("cr.test")
    plan.advise("cr.test", NOW + 5 * DAY)
    assert plan.next_time() == NOW + 5 * DAY


def test_a_moment_that_has_passed_renews_nothing_in_its_first_day() -> None:
    plan = holding("cr.test")
    plan.advise("cr.test", NOW - 5)
    assert plan.next_time() == NOW + DAY
    plan.holds("cr.test", NOW, NOW + 60)
    plan.advise("cr.test", NOW - 5)
    assert plan.next_time() == NOW + 40


def test_a_name_that_failed_waits_alone(plan: Plan) -> None:
    for name in NAMES:
        plan.began(name)
    upcoming = plan.failed("quay.cr.test", NOW, "no DNS")
    assert upcoming == NOW + 120
    assert plan.due(NOW + 119) == []
    assert plan.due(NOW + 120) == ["quay.cr.test"]
    assert state(plan, "quay.cr.test") == NameState("quay.cr.test", State.FAILED, None, "no DNS", NOW + 120)


def test_it_waits_longer_each_time_and_not_at_all_after_a_success(plan: Plan) -> None:
    waits = []
    now = NOW
    for _ in range(4):
        waits.append(plan.failed("cr.test", now, "no") - now)
        now += waits[-1]
    assert waits == sorted(set(waits))
    plan.done("cr.test", now, now + 90 * DAY, now)
    assert state(plan, "cr.test", now).state is State.VALID
    assert plan.failed("cr.test", now, "no") == now + waits[0]


def test_a_wish_of_the_cas_is_honoured(plan: Plan) -> None:
    assert plan.failed("cr.test", NOW, "no", retry_after=5000) == NOW + 5000
    assert plan.ca_failed("quay.cr.test", NOW, "busy", retry_after=9000) == NOW + 9000


def test_a_ca_that_is_away_is_left_alone_by_all(plan: Plan) -> None:
    for name in NAMES:
        plan.began(name)
    for name in NAMES:
        assert plan.ca_failed(name, NOW, "down") == NOW + 30
    assert plan.due(NOW + 29.9) == []
    assert plan.next_time() == NOW + 30
    assert plan.due(NOW + 30) == list(NAMES)
    assert plan.ca_failed("cr.test", NOW + 31, "down") == NOW + 91


def test_a_success_ends_no_pause_but_makes_the_next_one_short(plan: Plan) -> None:
    plan.ca_failed("cr.test", NOW, "down")
    assert plan.is_paused(NOW + 29)
    plan.done("quay.cr.test", NOW, NOW + 90 * DAY, NOW)
    assert plan.due(NOW + 29) == []
    assert not plan.is_paused(NOW + 30)
    assert plan.due(NOW + 30) == ["cr.test", "ghcr.cr.test"]
    assert plan.ca_failed("cr.test", NOW + 30, "down") == NOW + 60


def test_who_waits_for_the_ca_meanwhile_is_put_off_for_the_same_reason(plan: Plan) -> None:
    for name in NAMES:
        plan.began(name)
    plan.ca_failed("cr.test", NOW, "down")
    plan.put_off("quay.cr.test")
    assert state(plan, "quay.cr.test") == NameState("quay.cr.test", State.FAILED, None, "down", NOW + 30)


def test_a_new_certificate_that_has_ended_is_not_asked_for_again_and_again(plan: Plan) -> None:
    """What a clock a year ahead makes of it."""
    ahead = NOW + 365 * DAY
    plan.done("cr.test", NOW, NOW + 90 * DAY, ahead)
    assert "cr.test" not in plan.due(ahead + DAY - 1)
    assert state(plan, "cr.test", ahead).why == "its new certificate is about to end: is this machine's clock right?"


def test_what_an_operator_keeps_is_left_to_them() -> None:
    plan = Plan(NAMES, {"cr.test"}.__contains__)
    assert plan.due(NOW) == ["quay.cr.test", "ghcr.cr.test"]
    assert state(plan, "cr.test") == NameState("cr.test", State.FILE)
    assert Plan(("cr.test",), lambda _: True).next_time() is None


def test_names_come_and_go_and_are_remembered() -> None:
    plan = holding("cr.test", "quay.cr.test")
    plan.rename(("cr.test", "new.cr.test"))
    assert plan.due(NOW) == ["new.cr.test"]
    plan.rename(("cr.test", "quay.cr.test"))
    assert plan.due(NOW) == []


EVENTS = st.lists(
    st.tuples(st.sampled_from(["began", "done", "failed", "ca_failed"]), st.sampled_from(NAMES), st.floats(0, 1000)),
    max_size=30,
)


@given(EVENTS)
def test_whatever_happens_nothing_is_due_before_its_time(events: list[tuple[str, str, float]]) -> None:
    plan, now = Plan(NAMES), NOW
    for kind, name, seconds in events:
        now += seconds
        if kind == "began":
            plan.began(name)
        elif kind == "done":
            plan.done(name, now, now + 90 * DAY, now)
        else:
            getattr(plan, kind)(name, now, "no")
        upcoming = plan.next_time()
        assert (upcoming is not None and upcoming <= now) == bool(plan.due(now))
        assert upcoming is None or plan.due(max(now, upcoming))


# In a fleet


def test_what_another_node_got_is_as_good_as_ones_own(plan: Plan) -> None:
    plan.failed("cr.test", NOW, "no")
    plan.took("cr.test", NOW, NOW + 90 * DAY)
    assert state(plan, "cr.test") == NameState("cr.test", State.VALID, NOW + 90 * DAY, None, NOW + 60 * DAY)
    assert plan.failures("cr.test") == 0


def test_what_is_under_way_goes_on_where_another_node_got_one(plan: Plan) -> None:
    plan.began("cr.test")
    plan.took("cr.test", NOW, NOW + 90 * DAY)
    assert plan.is_busy
    assert state(plan, "cr.test").state is State.RENEWING
    plan.put_off("cr.test")
    assert not plan.is_busy


def test_what_failed_at_another_node_waits_here_as_well(plan: Plan) -> None:
    plan.told("cr.test", 3, NOW + 1800, "no")
    assert plan.due(NOW + 1799) == ["quay.cr.test", "ghcr.cr.test"]
    assert state(plan, "cr.test") == NameState("cr.test", State.FAILED, None, "no", NOW + 1800)
    # Older news changes nothing, and the next failure is the fourth.
    plan.told("cr.test", 1, NOW + 120, "no")
    assert plan.failures("cr.test") == 3
    assert plan.failed("cr.test", NOW + 1800, "no") == NOW + 1800 + 3600


def test_a_ca_that_another_node_is_to_leave_alone_is_left_alone(plan: Plan) -> None:
    plan.ca_told(2, NOW + 60, "busy")
    assert plan.due(NOW + 59) == []
    assert plan.is_paused(NOW + 59)
    assert plan.ca_failures == 2
    assert plan.due(NOW + 60) == list(NAMES)
    assert plan.ca_failed("cr.test", NOW + 60, "busy") == NOW + 60 + 120
