"""``crproxy tag`` against something that answers as a daemon does."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from crproxy.admin.printing import local_time, short_digest
from tests.admin.test_client import answer, daemon, runs

NAME = "quay.io/org/app:v1"
OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")
ANSWER: dict[str, Any] = {
    "outcome": "served",
    "digest": NEW,
    "points_to": NEW,
    "checked": None,
    "rule": None,
    "since": None,
    "source": None,
    "until": None,
    "error": None,
    "in_file": False,
}
HELD = {**ANSWER, "outcome": "held", "digest": OLD, "rule": "three days", "since": 0.0, "source": "seen", "until": 9e9}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


def said(path: Path, document: Any, *words: str) -> tuple[bytes, str]:
    """Return what the daemon was asked, and what the command said."""
    with daemon(path, answer(200, document)) as asked:
        result = runs(path, *words)
    assert result.exit_code == 0
    return asked[0].partition(b"\r\n")[0], result.output


def test_history(path: Path) -> None:
    now = time.time()
    changes = [
        {"seen": now - 7200, "confirmed": now, "from": OLD, "to": NEW, "asked_by": "192.0.2.7", "answered": False},
        {"seen": now - 9e5, "confirmed": now, "from": None, "to": OLD, "asked_by": None, "answered": True},
    ]
    document = {"image": NAME, "answer": {**HELD, "checked": now - 60}, "changes": changes}
    asked, output = said(path, document, "tag", "history", NAME)
    assert asked == b"GET /tags/history?image=quay.io%2Forg%2Fapp%3Av1 HTTP/1.1"
    lines = output.splitlines()
    assert lines[:2] == [NAME, f"answered now: {OLD}"]
    assert lines[2].startswith(f"why: held until {local_time(9e9)}, by three days: of what its registry answers, this ")
    assert lines[3:5] == [f"its registry's: {NEW}", "its registry was asked: 60 s ago"]
    assert lines[5].split() == ["NOTICED", "AGE", "FROM", "TO", "ASKED", "BY", "ANSWERED"]
    when = local_time(now - 7200).split()
    assert lines[6].split() == [*when, "2", "h", "ago", short_digest(OLD), short_digest(NEW), "192.0.2.7"]
    assert lines[7].endswith("now")
    assert "-" in lines[7].split()


def test_a_tag_that_is_gone(path: Path) -> None:
    change = {"seen": 0.0, "confirmed": 0.0, "from": OLD, "to": None, "asked_by": None, "answered": False}
    document = {"image": NAME, "answer": {**ANSWER, "outcome": "unknown", "digest": None}, "changes": [change]}
    _, output = said(path, document, "tag", "history", NAME)
    assert "answered now: nothing" in output
    assert "gone" in output.splitlines()[-1]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "it is what its registry answers, no rule is about it"),
        ({"rule": "all"}, "it is what its registry answers, by all"),
        ({"rule": "all", "since": 0.0, "source": "created"}, "it is old enough, by all: it says that it was created "),
        ({"outcome": "pinned"}, "it is pinned (crproxy tag unpin lets it go)"),
        ({"outcome": "pinned", "in_file": True}, "it is pinned in the configuration's file, below [pins]"),
        ({"outcome": "unchecked", "rule": "signed"}, "by signed it has to be signed"),
        ({"outcome": "unknown"}, "nothing is known of it here"),
        ({"outcome": "too-young", "error": "until tomorrow"}, "until tomorrow"),
        ({"outcome": "denied", "error": "never"}, "never"),
        ({"outcome": "not-pinned", "error": "pin it"}, "pin it"),
        ({"outcome": "unsigned", "error": "sign it"}, "sign it"),
    ],
)
def test_why_it_is_answered_so(path: Path, changed: dict[str, Any], expected: str) -> None:
    document = {"unpinned": NAME, "answer": {**ANSWER, **changed}}
    asked, output = said(path, document, "tag", "unpin", NAME)
    assert asked.startswith(b"DELETE /tags/pins?image=")
    assert output.startswith(f"{NAME}: not pinned any more; {expected}")


PINNED = {"pinned": NAME, "digest": OLD, "by_digest": f"quay.io/org/app@{OLD}", "complete": True}


def test_pin(path: Path) -> None:
    asked, output = said(path, PINNED, "tag", "pin", NAME, OLD)
    assert asked == f"POST /tags/pins?image=quay.io%2Forg%2Fapp%3Av1&digest=sha256%3A{'a' * 64} HTTP/1.1".encode()
    assert output == f"{NAME}: pinned to {OLD}\n"


def test_what_is_not_here_is_told(path: Path) -> None:
    _, output = said(path, {**PINNED, "complete": False}, "tag", "pin", NAME)
    assert output.splitlines()[1].endswith(f"crproxy warm quay.io/org/app@{OLD}")


def test_rollback(path: Path) -> None:
    asked, output = said(path, {**PINNED, "from": NEW}, "tag", "rollback", NAME)
    assert asked.startswith(b"POST /tags/rollback?image=")
    assert output.splitlines() == [f"{NAME}: back from sha256:bbbbbbbbbbbb", f"{NAME}: pinned to {OLD}"]


def test_pins(path: Path) -> None:
    pins = [
        {"image": NAME, "digest": OLD, "made": time.time() - 7200, "where": "command"},
        {"image": "quay.io/org/app:v2", "digest": NEW, "made": None, "where": "file"},
    ]
    asked, output = said(path, pins, "tag", "pins")
    assert asked == b"GET /tags/pins HTTP/1.1"
    lines = output.splitlines()
    assert lines[1].split() == [NAME, OLD, "crproxy", "tag", "pin", "2", "h", "ago"]
    assert lines[2].split() == ["quay.io/org/app:v2", NEW, "the", "file", "-"]


def test_without_pins(path: Path) -> None:
    assert said(path, [], "tag", "pins")[1] == "no tag is pinned\n"


@pytest.mark.parametrize("words", [("history", NAME), ("pin", NAME), ("unpin", NAME), ("rollback", NAME), ("pins",)])
def test_programs_are_given_all_of_it(path: Path, words: tuple[str, ...]) -> None:
    document = {"any": ["thing"]}
    assert json.loads(said(path, document, "tag", *words, "--json")[1]) == document
