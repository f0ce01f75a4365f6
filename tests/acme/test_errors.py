from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.acme.errors import Problem

PREFIX = "urn:ietf:params:acme:error:"

# RFC 8555, 6.7.1.
EXAMPLE: dict[str, Any] = {
    "type": f"{PREFIX}malformed",
    "detail": "Some of the identifiers requested were rejected",
    "subproblems": [
        {
            "type": f"{PREFIX}malformed",
            "detail": 'Invalid underscore in DNS name "_example.org"',
            "identifier": {"type": "dns", "value": "_example.org"},
        },
        {
            "type": f"{PREFIX}rejectedIdentifier",
            "detail": 'This CA will not issue for "example.net"',
            "identifier": {"type": "dns", "value": "example.net"},
        },
    ],
}

anything = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda below: (
        st.lists(below)
        | st.dictionaries(st.sampled_from(["type", "detail", "title", "identifier", "value", "subproblems"]), below)
    ),
    max_leaves=20,
)


def test_a_problem_says_what_is_wrong_with_each_name() -> None:
    problem = Problem.read(EXAMPLE)
    assert problem.kind == "malformed"
    assert [below.kind for below in problem.subproblems] == ["malformed", "rejectedIdentifier"]
    assert str(problem) == (
        "Some of the identifiers requested were rejected (malformed); "
        '_example.org: Invalid underscore in DNS name "_example.org" (malformed); '
        'example.net: This CA will not issue for "example.net" (rejectedIdentifier)'
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "no reason given"),
        (None, "no reason given"),
        ({"type": "about:blank", "title": "Forbidden"}, "Forbidden (about:blank)"),
        ({"type": 7, "detail": ["no"], "title": "No"}, "No"),
        ({"type": f"{PREFIX}dns"}, "no reason given (dns)"),
        ({"detail": "two\nlines\x1b[31m"}, "two lines [31m"),
        ({"detail": "x" * 10_000}, "x" * 500),
    ],
)
def test_what_can_be_read_of_a_problem_is(document: object, said: str) -> None:
    assert str(Problem.read(document)) == said


def test_not_all_subproblems_are_read() -> None:
    assert len(Problem.read({"subproblems": [EXAMPLE] * 1000}).subproblems) == 20
    assert Problem.read({"subproblems": [EXAMPLE]}).subproblems[0].subproblems == ()


@given(anything)
def test_any_document_becomes_one_printable_line(document: object) -> None:
    assert str(Problem.read(document)).isprintable()
