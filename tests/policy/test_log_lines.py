from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.log_lines import Entry, LogLevel, json_line, plain, text_line
from crproxy.policy.redaction import REDACTED

ENTRY = Entry(1763805600.25, LogLevel.WARNING, "crproxy.web", "/v2/x: no", "k2m4x7abcdef", {"path": "/v2/x"})
TRACEBACK = (
    'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    token = g()\nbuiltins.ValueError: no\n'
)


class Odd:
    """Has no text."""

    def __str__(self) -> str:
        raise ValueError


def test_a_level_has_what_matters_as_much_or_more() -> None:
    debug, info, warning, error = LogLevel
    assert [each for each in LogLevel if debug.covers(each)] == [debug, info, warning, error]
    assert [each for each in LogLevel if warning.covers(each)] == [warning, error]
    assert [each for each in LogLevel if error.covers(each)] == [error]


def test_a_line_for_people_has_time_level_message_and_request(monkeypatch: pytest.MonkeyPatch) -> None:
    line = text_line(ENTRY)
    assert line.endswith(" [crproxy.web#warning] /v2/x: no (request k2m4x7abcdef)\n")
    assert line[:5] in ("2025-", "2026-")


def test_what_is_nobodys_names_no_request() -> None:
    assert text_line(replace(ENTRY, request=None)).endswith("] /v2/x: no\n")
    assert "request" not in json.loads(json_line(replace(ENTRY, request=None)))


def test_a_line_of_the_audit_log_names_its_request_itself() -> None:
    line = text_line(replace(ENTRY, message='"GET /?token=***" request=k2m4x7abcdef', is_request=True))
    assert line.endswith('] "GET /?token=***" request=k2m4x7abcdef\n')


def test_a_line_for_programs_is_one_object() -> None:
    assert json.loads(json_line(ENTRY)) == {
        "time": "2025-11-22T10:00:00.250Z",
        "level": "warning",
        "logger": "crproxy.web",
        "message": "/v2/x: no",
        "request": "k2m4x7abcdef",
        "path": "/v2/x",
    }


def test_no_field_takes_the_place_of_what_each_line_has() -> None:
    fields = {"time": 1, "level": 2, "logger": 3, "message": 4, "request": 5, "traceback": 6, "more": 7}
    document = json.loads(json_line(replace(ENTRY, fields=fields)))
    assert document == {**json.loads(json_line(replace(ENTRY, fields={}))), "more": 7}


def test_a_traceback_is_of_the_same_entry() -> None:
    entry = replace(ENTRY, traceback=TRACEBACK)
    document = json.loads(json_line(entry))
    assert document["traceback"] == TRACEBACK.rstrip("\n")
    first, *others = text_line(entry).splitlines()
    assert first.endswith("(request k2m4x7abcdef)")
    assert len(others) == 4
    assert all(line.startswith("\t") for line in others)


@pytest.mark.security("S26")
@pytest.mark.parametrize("make", [text_line, json_line])
def test_no_secret_is_in_a_line(make: Any) -> None:
    secret = "https://me:hunter2@host/x?sig=hunter2 Authorization: Basic hunter2"
    fields = {name: plain(name, secret) for name in ("error", "password", "x")}
    fields["api_token"] = plain("api_token", "hunter2")
    traceback = TRACEBACK.replace("ValueError: no", f"ValueError: {secret}")
    line = make(Entry(0.0, LogLevel.ERROR, "x", secret, None, fields, traceback))
    assert "hunter2" not in line
    assert "token = g()" in line, "the code is nobody's secret"


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_whatever_is_told_is_one_line_of_json(message: str, fields: dict[str, str]) -> None:
    told = {name: plain(name, value) for name, value in fields.items()}
    line = json_line(replace(ENTRY, message=message, fields=told, traceback=message))
    assert line.count("\n") == 1
    assert line.isascii()
    assert json.loads(line)["level"] == "warning"


@pytest.mark.security("S26")
@given(st.text())
def test_what_follows_the_first_line_for_people_is_indented(message: str) -> None:
    _, *others = text_line(replace(ENTRY, message=message)).removesuffix("\n").split("\n")
    assert all(line.startswith("\t") for line in others)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (0.5, 0.5),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        ("x", "x"),
        (b"x\xff", "x\xff"),
        ({"a": {1: (2, "b")}}, {"a": {"1": [2, "b"]}}),
        (ValueError("no"), "no"),
        (Odd(), "<Odd>"),
        ({"password": "x", "user": "me"}, {"password": REDACTED, "user": "me"}),
    ],
)
def test_a_field_has_a_value_that_json_has(value: object, expected: object) -> None:
    found = plain("field", value)
    assert found == expected
    json.dumps(found, allow_nan=False)
