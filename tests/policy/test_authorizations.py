from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.authorizations import (
    Bearer,
    Credentials,
    basic_challenge,
    bearer_challenge,
    parse_authorization,
)
from crproxy.policy.challenges import parse_challenges
from tests.outcomes import outcome

# What UTF-8 can write, and RFC 7617 lets through: no control characters; a colon only in the password.
_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
_names = _text.filter(lambda text: ":" not in text)


def basic(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return "Basic " + base64.b64encode(raw).decode()


@given(_names, _text)
def test_any_character_may_be_in_a_name_and_in_a_password(username: str, password: str) -> None:
    said = parse_authorization(basic(f"{username}:{password}"))
    assert said == (Credentials(username, password) if username or password else None)


@pytest.mark.parametrize("value", [None, "", "   "])
def test_nothing_said_is_nobody(value: str | None) -> None:
    assert parse_authorization(value) is None


def test_neither_name_nor_password_is_nobody() -> None:
    assert parse_authorization(basic(":")) is None


@pytest.mark.parametrize(("username", "password"), [("", "x"), ("x", "")])
def test_one_of_the_two_is_somebody(username: str, password: str) -> None:
    assert parse_authorization(basic(f"{username}:{password}")) == Credentials(username, password)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_schemes_case_does_not_count(scheme: str) -> None:
    """RFC 9110, 11.1."""
    assert parse_authorization(f" {scheme}   a.b.c ") == Bearer("a.b.c")


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_nor_does_that_of_basic(scheme: str) -> None:
    assert parse_authorization(basic("a:b").replace("Basic", scheme)) == Credentials("a", "b")


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer  ",
        "Digest username=x",
        "Negotiate YQ==",
        "secret",
        "Basic",
        "Basic \u00e9",
        "Basic c2VjcmV0",
        "Basic c2VjcmV0Og",
        "Basic c2Vj cmV0Og==",
        "Basic c2VjcmV0Og==, Basic c2VjcmV0Og==",
        "Basic secret:secret",
        basic(b"\xff:secret"),
        basic("user:sec\0ret"),
    ],
)
def test_what_cannot_be_read_is_not_repeated(value: str) -> None:
    error = outcome(ValueError, parse_authorization, value)
    assert isinstance(error, ValueError)
    assert "secret" not in str(error)
    assert str(error).startswith(("log in with ", "the username and password are not ", "there is no colon "))


@given(st.text() | st.text().map("Basic {}".format) | st.binary().map(basic) | st.text().map("Bearer {}".format))
def test_any_text_is_somebody_or_nobody_or_a_value_error(value: str) -> None:
    said = outcome(ValueError, parse_authorization, value)
    assert said is None or isinstance(said, Credentials | Bearer | ValueError)


def test_what_is_secret_is_not_shown() -> None:
    """S26."""
    assert "secret" not in repr(Credentials("alice", "secret")) + repr(Bearer("secret"))


def test_a_challenge_can_be_read_by_clients() -> None:
    (challenge,) = parse_challenges([basic_challenge()])
    assert (challenge.scheme, challenge.parameters) == ("basic", {"realm": "crproxy", "charset": "UTF-8"})


@pytest.mark.parametrize(("words", "read"), [(None, None), ('no "\\é\n', "no '???"), ("try again", "try again")])
def test_a_challenge_says_in_words_what_is_wrong(words: str | None, read: str | None) -> None:
    (challenge,) = parse_challenges([bearer_challenge("https://a/token", "a", None, "invalid_token", words)])
    assert challenge.parameters.get("error_description") == read


@pytest.mark.parametrize("scope", [None, "repository:a:pull"])
@pytest.mark.parametrize("error", [None, "invalid_token"])
def test_so_can_one_for_a_token(scope: str | None, error: str | None) -> None:
    (challenge,) = parse_challenges([bearer_challenge("https://a/token", "a", scope, error)])
    said = {"realm": "https://a/token", "service": "a", "scope": scope, "error": error}
    assert challenge.scheme == "bearer"
    assert challenge.parameters == {name: value for name, value in said.items() if value is not None}
