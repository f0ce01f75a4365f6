from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.scopes import Scope, parse_scopes, pull_of
from tests import strategies

_words = st.text("abz:/,*() \t\n\x00é😀-", max_size=20)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("repository:org/name:pull", "org/name"),
        ("repository:org/name:pull,push", "org/name"),
        ("repository:org/name:push,pull", "org/name"),
        ("repository:org/name:*", "org/name"),
        ("repository(plugin):org/name:pull", "org/name"),
        ("repository:host:5000/name:pull", "host:5000/name"),
        ("repository:[::1]:5000/name:pull", "[::1]:5000/name"),
    ],
)
def test_a_repository_may_be_pulled_from(text: str, name: str) -> None:
    assert parse_scopes([text]) == (Scope(name),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "repository",
        "repository:",
        "repository::pull",
        "repository:org/name",
        "repository:org/name:",
        "repository:org/name:push",
        "repository:org/name:delete,push",
        "repository:org/name:pulling",
        "repository:org/name:PULL",
        "registry:catalog:*",
        "Repository:org/name:pull",
        "repository(:org/name:pull",
        "pull",
    ],
)
def test_what_is_nothing_to_pull_is_granted_to_nobody(text: str) -> None:
    assert parse_scopes([text]) == ()


def test_a_client_may_ask_for_several_in_one_parameter_or_in_many() -> None:
    values = ["repository:a:pull repository:b:pull", "repository:c:pull", "repository:a:pull,push"]
    assert parse_scopes(values) == (Scope("a"), Scope("b"), Scope("c"))


def test_sixteen_are_the_most() -> None:
    assert len(parse_scopes([f"repository:a{number}:pull" for number in range(99)])) == 16


@pytest.mark.parametrize("name", ["a" * 301, "é", "a\x00", "a\x7f", "\ud800", 'a"b', "a\\b"])
def test_what_cannot_be_a_name_is_left_out(name: str) -> None:
    """Tokens are sent in a header's line, which has an end."""
    assert parse_scopes([f"repository:{name}:pull repository:a:pull"]) == (Scope("a"),)


@given(st.lists(st.text() | _words | _words.map("repository:{}:pull".format)))
def test_any_text_gives_scopes_that_fit_a_token(values: list[str]) -> None:
    scopes = parse_scopes(values)
    assert len(set(scopes)) == len(scopes) <= 16
    assert all(scope.name.isascii() and scope.name.isprintable() and len(scope.name) <= 300 for scope in scopes)
    assert parse_scopes(map(str, scopes)) == scopes


@given(strategies.names)
def test_a_scope_says_what_it_is_read_from(name: str) -> None:
    assert parse_scopes([str(Scope(name))]) == (Scope(name),)
    assert pull_of([Scope(name).access()]) == {name}


@pytest.mark.parametrize(
    "access",
    [
        None,
        {},
        "repository:a:pull",
        ["repository:a:pull"],
        [None, 1, []],
        [{"type": "repository", "name": "a"}],
        [{"type": "repository", "name": "a", "actions": "pull"}],
        [{"type": "repository", "name": "a", "actions": {"pull": True}}],
        [{"type": "repository", "name": "a", "actions": ["push"]}],
        [{"type": "repository", "name": ["a"], "actions": ["pull"]}],
        [{"type": "registry", "name": "a", "actions": ["pull"]}],
        [{"name": "a", "actions": ["pull"]}],
    ],
)
def test_a_claim_that_names_no_pull_gives_none(access: object) -> None:
    assert pull_of(access) == frozenset()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["repository", "pull", "a"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "name", "actions"]), inner),
)


@given(_json)
def test_any_claim_gives_names(access: object) -> None:
    assert all(isinstance(name, str) for name in pull_of(access))
