from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.names import Registry
from crproxy.policy.rules import NO_RULE, Action, Decision, Match, Rule, Rules, Subject

HUB, QUAY = Registry("docker.io"), Registry("quay.io")
NGINX, APP = HUB.repository("library/nginx"), QUAY.repository("org/team/app")
HERE, THERE = ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("198.51.100.0/24")


def test_the_first_that_is_about_it_decides() -> None:
    ours, hub, rest = Rule("ours", frozenset({"quay.io/org/*"})), Rule("hub", registries=frozenset({HUB})), Rule("rest")
    rules = Rules((ours, hub, rest))
    assert rules.decide(Subject(APP)).rule is ours
    assert rules.decide(Subject(NGINX)).rule is hub
    assert rules.decide(Subject(QUAY.repository("other"))).rule is rest
    assert Rules((rest, ours)).decide(Subject(APP)).rule is rest
    assert Rules((ours,)).decide(Subject(NGINX)) == NO_RULE
    assert Rules().decide(Subject(NGINX)) is NO_RULE


@pytest.mark.parametrize(
    ("rule", "client", "user", "is_about"),
    [
        (Rule("r", networks=(HERE,)), "192.0.2.7", None, True),
        (Rule("r", networks=(HERE,)), "198.51.100.1", None, False),
        (Rule("r", networks=(HERE,)), None, None, False),
        (Rule("r", networks=(THERE, HERE)), "::ffff:192.0.2.7", None, True),
        (Rule("r", users=frozenset({"alice"})), None, "alice", True),
        (Rule("r", users=frozenset({"alice"})), None, "bob", False),
        (Rule("r", users=frozenset({"alice"})), None, None, False),
        (Rule("r", networks=(HERE,), users=frozenset({"alice"})), "192.0.2.7", "bob", False),
        (Rule("r", registries=frozenset({QUAY}), images=frozenset({"*"})), None, None, False),
    ],
)
def test_a_rule_is_about_clients_whatever_it_names(
    rule: Rule, client: str | None, user: str | None, is_about: bool
) -> None:
    subject = Subject(NGINX, client, user)
    assert (Rules((rule,)).decide(subject).rule is rule) == is_about
    assert (rule.why_not(subject) is None) == is_about


def test_what_is_not_enforced_decides_nothing_and_is_told_of() -> None:
    tried, counts, late = Rule("tried", enforce=False), Rule("counts"), Rule("late", enforce=False)
    assert Rules((tried, counts, late)).decide(Subject(APP)) == Decision(counts, (tried,))
    assert Rules((tried, late)).decide(Subject(APP)) == Decision(None, (tried, late))


def test_why_each_decides_or_does_not() -> None:
    hub, there, app = Rule("hub", registries=frozenset({HUB})), Rule("there", networks=(THERE,)), Rule("app")
    told = list(Rules((hub, there, app, Rule("never"))).explain(Subject(APP, "192.0.2.1")))
    assert told == [
        Match(hub, "it is about docker.io"),
        Match(there, "the client 192.0.2.1 is in none of its networks"),
        Match(app, None),
    ]


@pytest.mark.parametrize(
    ("rules", "is_open"),
    [
        ((), True),
        ((Rule("age", minimum_age=5.0),), True),
        ((Rule("no", action=Action.DENY),), False),
        ((Rule("tried", action=Action.DENY, enforce=False),), True),
        ((Rule("some", networks=(HERE,)), Rule("no", action=Action.DENY)), False),
        ((Rule("all"), Rule("no", action=Action.DENY)), True),
        ((Rule("no", networks=(HERE,), action=Action.DENY),), False),
        ((Rule("other", frozenset({"docker.io/*"}), action=Action.DENY),), True),
    ],
)
def test_what_somebody_is_denied_is_not_open(rules: tuple[Rule, ...], is_open: bool) -> None:
    assert Rules(rules).is_open(APP) == is_open


def test_whether_answers_depend_on_who_asks() -> None:
    assert not Rules((Rule("a"), Rule("b", frozenset({"*"})))).are_about_clients
    assert Rules((Rule("a"), Rule("b", users=frozenset({"x"})))).are_about_clients
    assert Rules((Rule("a", networks=(HERE,)),)).are_about_clients


patterns = st.sampled_from(
    ["*", "docker.io/*", "quay.io/*", "quay.io/org/*", "quay.io/org/team/app", "docker.io/library/nginx", "ghcr.io/*"]
)
made = st.lists(
    st.builds(
        Rule,
        st.just("r"),
        images=st.frozensets(patterns, max_size=2),
        registries=st.frozensets(st.sampled_from([HUB, QUAY]), max_size=1),
        networks=st.sampled_from([(), (HERE,), (THERE,)]),
        users=st.frozensets(st.sampled_from(["alice", "bob"]), max_size=1),
        enforce=st.booleans(),
    ),
    max_size=8,
)
subjects = st.builds(
    Subject,
    st.sampled_from([NGINX, APP, QUAY.repository("x"), Registry("ghcr.io").repository("x")]),
    st.sampled_from([None, "192.0.2.1", "198.51.100.1"]),
    st.sampled_from([None, "alice", "bob"]),
)


@given(made, st.lists(subjects, min_size=1, max_size=3))
def test_they_decide_as_one_would_who_goes_through_them_from_the_top(rules: list[Rule], asked: list[Subject]) -> None:
    together = Rules(tuple(rules))
    for subject in [*asked, *asked]:
        about = [rule for rule in rules if rule.why_not(subject) is None]
        enforced = next((number for number, rule in enumerate(about) if rule.enforce), len(about))
        expected = Decision(about[enforced] if enforced < len(about) else None, tuple(about[:enforced]))
        assert together.decide(subject) == expected
