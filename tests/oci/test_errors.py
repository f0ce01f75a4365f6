from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.errors import ErrorCode, RegistryError, errors_body


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.NAME_INVALID, 400),
        (ErrorCode.TAG_INVALID, 400),
        (ErrorCode.DIGEST_INVALID, 400),
        (ErrorCode.MANIFEST_INVALID, 400),
        (ErrorCode.UNAUTHORIZED, 401),
        (ErrorCode.DENIED, 403),
        (ErrorCode.NAME_UNKNOWN, 404),
        (ErrorCode.MANIFEST_UNKNOWN, 404),
        (ErrorCode.BLOB_UNKNOWN, 404),
        (ErrorCode.UNSUPPORTED, 405),
        (ErrorCode.TOOMANYREQUESTS, 429),
        (ErrorCode.UNAVAILABLE, 503),
    ],
)
def test_each_code_has_its_status(code: ErrorCode, status: int) -> None:
    assert code.status == status
    assert RegistryError(code, "why").status == status


def test_every_code_has_a_status() -> None:
    assert all(400 <= code.status < 600 for code in ErrorCode)


def test_an_error_may_have_a_status_of_its_own() -> None:
    assert RegistryError(ErrorCode.DENIED, "not ours", status=421).status == 421


def test_the_body_is_the_specifications_document() -> None:
    body = RegistryError(ErrorCode.DENIED, "ask ops").body()
    assert json.loads(body) == {"errors": [{"code": "DENIED", "message": "ask ops", "detail": None}]}


@given(st.text(st.characters(codec="utf-8")))
def test_any_message_arrives_as_it_was_written(message: str) -> None:
    assert json.loads(errors_body("DENIED", message))["errors"][0]["message"] == message


def test_a_message_with_half_a_character_can_be_sent() -> None:
    assert json.loads(errors_body("DENIED", "\ud800"))["errors"][0]["code"] == "DENIED"


def test_an_error_without_a_wait_has_no_retry_after() -> None:
    assert RegistryError(ErrorCode.DENIED, "no").headers() == {"Content-Type": "application/json"}


@pytest.mark.parametrize("seconds", [0, 30])
def test_an_error_says_when_to_ask_again(seconds: int) -> None:
    error = RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=seconds)
    assert error.headers()["Retry-After"] == str(seconds)


def test_in_a_log_an_error_reads_as_status_code_and_message() -> None:
    assert str(RegistryError(ErrorCode.TOOMANYREQUESTS, "slow down")) == "429 TOOMANYREQUESTS: slow down"
