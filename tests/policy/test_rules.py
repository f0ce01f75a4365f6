from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.names import DOCKER_HUB, Registry, Repository
from crproxy.policy.access import Patterns, parse_pattern, patterns_about
from crproxy.policy.rules import NO_RULE, Action, Decision, Rule, Rules, Subject
from crproxy.signatures.trust import Trust

QUAY = Registry("quay.io")
APP = QUAY.repository("org/app")
OFFICE = ipaddress.ip_network("192.0.2.0/24")


def patterns(*texts: str) -> Patterns:
    return Patterns(map(parse_pattern, texts))


def decided(rules: Rules, subject: Subject) -> str | None:
    rule = rules.decide(subject).rule
    return None if rule is None else rule.name


def test_without_rules_none_decides() -> None:
    assert Rules().decide(Subject(APP)) is NO_RULE


def test_the_first_that_is_about_it_decides() -> None:
    rules = Rules(
        (Rule("ghcr", images=patterns("ghcr.io")), Rule("org", images=patterns("quay.io/org/*")), Rule("all"))
    )
    assert decided(rules, Subject(APP)) == "org"
    assert decided(rules, Subject(DOCKER_HUB.repository("nginx"))) == "all"


@pytest.mark.parametrize(
    ("rule", "subject", "why_not"),
    [
        (Rule("r"), Subject(APP), None),
        (Rule("r", images=patterns("quay.io/org/app")), Subject(APP), None),
        (Rule("r", images=patterns("*")), Subject(APP), None),
        (Rule("r", images=patterns("quay.io/other/*")), Subject(APP), "none of its images is this one"),
        (Rule("r", registries=frozenset({QUAY})), Subject(APP), None),
        (Rule("r", registries=frozenset({DOCKER_HUB})), Subject(APP), "it is about docker.io"),
        (
            Rule("r", registries=frozenset({DOCKER_HUB}), images=patterns("quay.io")),
            Subject(APP),
            "it is about docker.io",
        ),
        (Rule("r", networks=(OFFICE,)), Subject(APP, "192.0.2.7"), None),
        (Rule("r", networks=(OFFICE,)), Subject(APP, "10.0.0.1"), "the client 10.0.0.1 is in none of its networks"),
        (Rule("r", networks=(OFFICE,)), Subject(APP), "the client is not known, and is in none of its networks"),
        (Rule("r", users=frozenset({"anna"})), Subject(APP, user="anna"), None),
        (Rule("r", users=frozenset({"anna"})), Subject(APP, user="ben"), "ben is none of its users"),
        (Rule("r", users=frozenset({"anna"})), Subject(APP), "nobody is none of its users"),
    ],
)
def test_what_a_rule_is_about(rule: Rule, subject: Subject, why_not: str | None) -> None:
    assert rule.why_not(subject) == why_not


def test_what_is_only_tried_decides_nothing() -> None:
    tried, last = Rule("tried", action=Action.DENY, enforce=False), Rule("last")
    assert Rules((tried, last)).decide(Subject(APP)) == Decision(last, (tried,))
    assert Rules((tried,)).decide(Subject(APP)) == Decision(None, (tried,))
    # Behind the one that decides, nobody is asked.
    assert Rules((last, tried)).decide(Subject(APP)) == Decision(last)


def test_it_is_explained_up_to_the_one_that_decides() -> None:
    rules = Rules((Rule("ghcr", images=patterns("ghcr.io")), Rule("tried", enforce=False), Rule("all"), Rule("never")))
    assert [(match.rule.name, match.why_not) for match in rules.explain(Subject(APP))] == [
        ("ghcr", "none of its images is this one"),
        ("tried", None),
        ("all", None),
    ]


@pytest.mark.parametrize(
    ("rules", "is_open"),
    [
        ((), True),
        ((Rule("aged", minimum_age=1.0),), True),
        ((Rule("no", action=Action.DENY),), False),
        ((Rule("no", action=Action.DENY, enforce=False),), True),
        ((Rule("no", images=patterns("ghcr.io"), action=Action.DENY),), True),
        # Some client is refused.
        ((Rule("no", networks=(OFFICE,), action=Action.DENY), Rule("all")), False),
        ((Rule("office", networks=(OFFICE,)), Rule("no", action=Action.DENY)), False),
        ((Rule("all"), Rule("no", action=Action.DENY)), True),
    ],
)
def test_what_is_open_to_everybody(rules: tuple[Rule, ...], is_open: bool) -> None:
    assert Rules(rules).is_open(APP) is is_open


def test_what_depends_on_who_asks_and_what_asks_for_something() -> None:
    assert not Rules((Rule("a"),)).are_about_clients
    assert Rules((Rule("a"), Rule("b", users=frozenset({"anna"})))).are_about_clients
    assert Rules((Rule("a", networks=(OFFICE,)),)).are_about_clients
    assert not Rule("a").has_terms
    for rule in (Rule("a", minimum_age=1.0), Rule("a", pinned=True), Rule("a", trust=Trust(("key",)))):
        assert rule.has_terms


REGISTRIES = [QUAY, DOCKER_HUB, Registry("ghcr.io")]
REPOSITORIES = [registry.repository(path) for registry in REGISTRIES for path in ("a/b", "a/c", "a/b/c", "d/e")]
PATTERNS = sorted({pattern for repository in REPOSITORIES for pattern in patterns_about(repository)})
ADDRESSES = ["192.0.2.7", "10.0.0.1", None]

some_rules = st.lists(
    st.builds(
        Rule,
        name=st.just("r"),
        images=st.frozensets(st.sampled_from(PATTERNS), max_size=2),
        registries=st.frozensets(st.sampled_from(REGISTRIES), max_size=2),
        networks=st.sampled_from([(), (OFFICE,)]),
        users=st.sampled_from([frozenset[str](), frozenset({"anna"})]),
        action=st.sampled_from(Action),
        enforce=st.booleans(),
    ),
    max_size=6,
)
subjects = st.builds(
    Subject,
    repository=st.sampled_from(REPOSITORIES),
    client=st.sampled_from(ADDRESSES),
    user=st.sampled_from(["anna", "ben", None]),
)


def one_by_one(rules: list[Rule], subject: Subject) -> Decision:
    """Decide as it is documented, one rule after the other."""
    trials: list[Rule] = []
    for rule in rules:
        repository = subject.repository
        is_about = (
            (not rule.images or any(pattern in rule.images for pattern in patterns_about(repository)))
            and (not rule.registries or repository.registry in rule.registries)
            and (not rule.networks or subject.client == "192.0.2.7")
            and (not rule.users or subject.user in rule.users)
        )
        if is_about and rule.enforce:
            return Decision(rule, tuple(trials))
        if is_about:
            trials.append(rule)
    return Decision(None, tuple(trials))


@given(some_rules, subjects)
def test_they_decide_as_if_each_was_asked_in_turn(rules: list[Rule], subject: Subject) -> None:
    assert Rules(tuple(rules)).decide(subject) == one_by_one(rules, subject)


@given(some_rules, subjects)
def test_what_is_explained_is_what_is_decided(rules: list[Rule], subject: Subject) -> None:
    about = [match.rule for match in Rules(tuple(rules)).explain(subject) if match.why_not is None]
    decision = Rules(tuple(rules)).decide(subject)
    assert about == [*decision.trials, *([] if decision.rule is None else [decision.rule])]


@given(some_rules, st.sampled_from(REPOSITORIES))
def test_what_is_open_is_refused_to_nobody(rules: list[Rule], repository: Repository) -> None:
    every = [Subject(repository, client, user) for client in ADDRESSES for user in ("anna", None)]
    decisions = [Rules(tuple(rules)).decide(subject).rule for subject in every]
    if Rules(tuple(rules)).is_open(repository):
        assert all(rule is None or rule.action is Action.ALLOW for rule in decisions)
