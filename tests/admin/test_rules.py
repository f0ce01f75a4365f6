"""``crproxy rules`` against something that answers as a daemon does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.admin.test_tag import ANSWER, HELD, NAME, NEW, OLD, said

RULES: list[dict[str, Any]] = [
    {"number": 1, "name": "ours", "about": ["images quay.io/org/*"], "does": "allow", "enforced": True},
    {"number": 2, "name": "tried", "about": ["everything"], "does": "deny", "enforced": False},
    {"number": 3, "name": "three days", "about": ["everything"], "does": "minimum age 3 d", "enforced": True},
]
TESTED: dict[str, Any] = {
    "image": NAME,
    "client": None,
    "user": None,
    "access": {"refused": None, "privileged": False},
    "rules": [
        {**RULES[0], "why_not": "none of its images is this one"},
        {**RULES[1], "why_not": None},
        {**RULES[2], "why_not": None},
    ],
    "decides": "three days",
    "answer": HELD,
    "trials": [{**ANSWER, "outcome": "denied", "digest": None, "error": "quay.io/org/app is refused by tried"}],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


def test_they_are_listed(path: Path) -> None:
    asked, output = said(path, RULES, "rules", "list")
    assert asked == b"GET /rules HTTP/1.1"
    lines = [line.split() for line in output.splitlines()]
    assert lines[0] == ["#", "NAME", "ABOUT", "DOES", "ENFORCED"]
    assert lines[1] == ["1", "ours", "images", "quay.io/org/*", "allow", "yes"]
    assert lines[2] == ["2", "tried", "everything", "deny", "no"]


def test_there_may_be_none(path: Path) -> None:
    assert said(path, [], "rules", "list")[1] == "there are no rules: what [access] lets through is served\n"


def test_what_decides_is_told_step_by_step(path: Path) -> None:
    asked, output = said(path, TESTED, "rules", "test", NAME)
    assert asked == b"GET /rules/test?image=quay.io%2Forg%2Fapp%3Av1 HTTP/1.1"
    lines = output.splitlines()
    assert lines[:6] == [
        f"{NAME}, for a client of no known address, not logged in",
        "[access]: lets it through",
        "1. ours (allow): not about it: none of its images is this one",
        "2. tried (deny): not enforced; it would say: quay.io/org/app is refused by tried",
        "3. three days (minimum age 3 d): decides",
        f"answered now: {OLD}",
    ]
    assert lines[6].startswith("why: held until ")
    assert lines[7] == f"its registry's: {NEW}"


def test_who_asks_is_told(path: Path) -> None:
    document = {**TESTED, "client": "192.0.2.7", "user": "anna"}
    asked, output = said(path, document, "rules", "test", NAME, "--client", "192.0.2.7", "--user", "anna")
    assert asked.endswith(b"&client=192.0.2.7&user=anna HTTP/1.1")
    assert output.startswith(f"{NAME}, for 192.0.2.7, logged in as anna\n")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"rules": []}, "there are no rules"),
        ({"rules": [{**RULES[0], "why_not": "no"}]}, "no rule decides: it is served"),
        (
            {"rules": [], "access": {"refused": None, "privileged": True}},
            "[access]: lets it through as privileged, so that no rule is about it",
        ),
        ({"rules": [], "access": {"refused": "not here; ask ops", "privileged": False}}, "refuses it: not here; ask"),
    ],
)
def test_where_none_decides(path: Path, changed: dict[str, Any], expected: str) -> None:
    document = {**TESTED, "decides": None, "trials": [], "answer": ANSWER, **changed}
    assert expected in said(path, document, "rules", "test", NAME)[1]


@pytest.mark.parametrize("words", [("list",), ("test", NAME)])
def test_programs_are_given_all_of_it(path: Path, words: tuple[str, ...]) -> None:
    document = {"any": ["thing"]}
    assert json.loads(said(path, document, "rules", *words, "--json")[1]) == document
