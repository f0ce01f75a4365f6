from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.policy.authorizations import basic_challenge, bearer_challenge
from crproxy.policy.request_ids import RANDOM_BYTES, believed, error_with_id, make_id, with_id

random = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(random)
def test_an_id_is_short_and_can_be_read_out_loud(given: bytes) -> None:
    assert re.fullmatch(r"[a-z2-7]{12}", make_id(given))


@given(random, random)
def test_sixty_bits_decide(one: bytes, other: bytes) -> None:
    def bits(given: bytes) -> int:
        return int.from_bytes(given, "big") >> 4

    assert (make_id(one) == make_id(other)) is (bits(one) == bits(other))


@pytest.mark.parametrize(
    "line",
    [
        "4f1b7cc2f2a94d3f8e5a1b2c3d4e5f60",
        "0b5c1f5e-6f6f-4f0e-9d0a-3f1f6a1b2c3d",
        "a",
        "A.b_c-D",
        "x" * 64,
        " padded\t",
    ],
)
def test_what_proxies_send_is_believed(line: str) -> None:
    assert believed([line]) == line.strip(" \t")


@pytest.mark.security("S26")
@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["x" * 65],
        ["a", "a"],
        ["a b"],
        ["a,b"],
        ["-a"],
        ["a\n"],
        ['a"'],
        ["a)"],
        ["é"],
        ["\x1b[31m"],
        ["${jndi:x}"],
        ["٣٣"],  # digits, but not ASCII's
    ],
)
def test_what_could_forge_a_line_is_not(lines: list[str]) -> None:
    assert believed(lines) is None


@given(st.text())
def test_what_is_believed_is_bounded_and_safe(line: str) -> None:
    found = believed([line])
    assert found is None or re.fullmatch(r"[A-Za-z0-9._-]{1,64}", found, re.ASCII)


def test_a_person_is_told_the_id_behind_the_words() -> None:
    assert with_id("no such image", "abc") == "no such image (request abc)"


def test_an_error_stays_what_it_is() -> None:
    error = RegistryError(
        ErrorCode.TOOMANYREQUESTS, "slow down", status=429, retry_after=7, challenge=basic_challenge()
    )
    told = error_with_id(error, "abc")
    assert told.message == "slow down (request abc)"
    assert (told.code, told.status, told.retry_after, told.challenge) == (
        *(error.code, error.status, error.retry_after, error.challenge),
    )
    assert error.message == "slow down"


def test_who_shows_the_challenge_alone_shows_the_id_too() -> None:
    challenge = bearer_challenge("https://cr.test/token", "cr.test", None, "invalid_token", "it is too old")
    told = error_with_id(RegistryError(ErrorCode.UNAUTHORIZED, "it is too old", challenge=challenge), "abc")
    assert told.challenge == challenge.replace("it is too old", "it is too old (request abc)")
