from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.errors import ErrorCode, RegistryError, errors_body
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.refusals import Asker, parse_retry_after, refusal, unavailable

QUAY = Registry("quay.io")
NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


def refused(status: int, body: bytes = b"", retry_after: int | None = None) -> RegistryError:
    return refusal(QUAY, "quay.io/a:v1", ErrorCode.MANIFEST_UNKNOWN, status, body, retry_after)


@pytest.mark.parametrize(
    ("status", "code", "answered"),
    [
        (404, ErrorCode.MANIFEST_UNKNOWN, 404),
        (410, ErrorCode.MANIFEST_UNKNOWN, 404),
        (401, ErrorCode.DENIED, 403),
        (403, ErrorCode.DENIED, 403),
        (451, ErrorCode.DENIED, 403),
        (429, ErrorCode.TOOMANYREQUESTS, 429),
        (400, ErrorCode.UNSUPPORTED, 400),
        (405, ErrorCode.UNSUPPORTED, 405),
        (406, ErrorCode.UNSUPPORTED, 406),
        (416, ErrorCode.UNSUPPORTED, 416),
        (500, ErrorCode.UNAVAILABLE, 503),
        (501, ErrorCode.UNAVAILABLE, 503),
        (502, ErrorCode.UNAVAILABLE, 503),
        (503, ErrorCode.UNAVAILABLE, 503),
        (504, ErrorCode.UNAVAILABLE, 503),
        (204, ErrorCode.UNAVAILABLE, 503),
        (304, ErrorCode.UNAVAILABLE, 503),
        (418, ErrorCode.UNAVAILABLE, 503),
    ],
)
def test_what_upstreams_status_means_here(status: int, code: ErrorCode, answered: int) -> None:
    error = refused(status)
    assert (error.code, error.status) == (code, answered)


@given(st.integers(100, 999))
def test_not_there_is_answered_only_where_upstream_said_so(status: int) -> None:
    assert (refused(status).status == 404) == (status in (404, 410))


@pytest.mark.parametrize("unknown", [ErrorCode.BLOB_UNKNOWN, ErrorCode.NAME_UNKNOWN])
def test_not_there_is_said_of_what_was_asked_for(unknown: ErrorCode) -> None:
    assert refusal(QUAY, "x", unknown, 404).code is unknown


@pytest.mark.parametrize(
    ("status", "given_", "answered"),
    [(429, None, 60), (429, 7, 7), (429, 0, 0), (503, None, 10), (503, 120, 120), (500, None, 10), (404, 7, None)],
)
def test_when_to_ask_again(status: int, given_: int | None, answered: int | None) -> None:
    assert refused(status, retry_after=given_).retry_after == answered


def test_the_message_names_upstream_what_was_asked_for_and_what_it_said() -> None:
    body = errors_body("MANIFEST_UNKNOWN", "manifest unknown to us")
    assert refused(404, body).message == (
        "quay.io/a:v1 is not there: quay.io answered 404: MANIFEST_UNKNOWN manifest unknown to us"
    )


def test_a_refusal_says_where_credentials_belong() -> None:
    assert '[upstreams."quay.io"]' in refused(401).message


def test_docker_hub_refuses_what_does_not_exist_and_the_message_says_so() -> None:
    message = refusal(DOCKER_HUB, "docker.io/library/a:v1", ErrorCode.MANIFEST_UNKNOWN, 401).message
    assert "(Docker Hub says so of repositories that do not exist, too);" in message


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("asker", "advice"),
    [
        (Asker.CLIENT, "it was asked with your own login there"),
        (
            Asker.ANYBODY,
            'if it is private, its username and password belong under [upstreams."corp.example"] of this proxy',
        ),
        (Asker.PROXY, 'whoever runs it may check username and password under [upstreams."corp.example"] of this proxy'),
    ],
)
def test_a_refusal_says_what_to_do_about_the_login(status: int, asker: Asker, advice: str) -> None:
    corp = Registry("corp.example")
    message = refusal(corp, "corp.example/a:v1", ErrorCode.MANIFEST_UNKNOWN, status, asker=asker).message
    assert message.startswith(f"corp.example/a:v1 is refused: corp.example answered {status};")
    assert message.endswith(advice)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b'{"errors": []}',
        b'{"errors": {}}',
        b'{"errors": [1]}',
        b'{"errors": [null]}',
        b'{"errors": [{}]}',
        b'{"errors": "x"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_a_body_that_says_nothing_is_left_out(body: bytes) -> None:
    assert refused(404, body).message == "quay.io/a:v1 is not there: quay.io answered 404"


def test_upstreams_words_are_cut_at_300_characters_and_printable() -> None:
    body = json.dumps({"errors": [{"code": "X", "message": "a\r\n\x1b[31mb\u202e" + "c" * 1000}]}).encode()
    message = refused(404, body).message
    assert message.isprintable()
    assert len(message.partition("404: ")[2]) == 300


@given(
    st.integers(100, 999), st.binary() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_any_answer_makes_an_error_that_can_be_sent(status: int, body: bytes) -> None:
    assert json.loads(refused(status, body).body())["errors"]


def test_an_upstream_that_cannot_be_asked_is_unavailable_for_ten_seconds() -> None:
    error = unavailable(QUAY, "its name cannot be resolved")
    assert (error.code, error.status, error.retry_after) == (ErrorCode.UNAVAILABLE, 503, 10)
    assert error.message == "quay.io is not available: its name cannot be resolved"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("30", 30),
        (" 30 ", 30),
        ("86401", 86400),
        ("9" * 5000, 86400),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ("Sun, 06 Nov 2094 08:49:37 GMT", 86400),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:50:37 -0000", 60),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_a_day_at_most(value: str | None, seconds: int | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text() | st.text("0123456789:,+- JanMonGMT", max_size=32), st.floats(0, 1e11))
def test_any_retry_after_is_nothing_or_at_most_a_day(value: str, now: float) -> None:
    seconds = parse_retry_after(value, now)
    assert seconds is None or 0 <= seconds <= 86400
