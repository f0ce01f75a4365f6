from __future__ import annotations

import base64
import json
import secrets
from typing import Any

import jwt
import pytest
from cryptography.fernet import Fernet
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from crproxy.login.signing import BadToken, Claims, Signer
from tests import strategies
from tests.outcomes import outcome

KEY = bytes(range(64))
SECRET = "Bearer upstreams.own.token"
CLAIMS = Claims("alice", "quay.cr.test", frozenset({"org/name", "org/other"}), "quay.io", SECRET)
NOW = 1_800_000_000.0


def signer_at(now: float = NOW, key: bytes = KEY) -> Signer:
    clock = Clock()
    clock.advance(now)
    return Signer(lambda: key, clock)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest.fixture
def signer(clock: Clock) -> Signer:
    return Signer(lambda: KEY, clock)


def said_in(token: str) -> dict[str, Any]:
    said: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return said


def signed(said: dict[str, Any], key: bytes | str = KEY[:32], algorithm: str = "HS256") -> str:
    return jwt.encode(said, key, algorithm)


def part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(
    st.builds(
        Claims,
        _text,
        _text.filter(bool),
        st.frozensets(strategies.names, max_size=16),
        st.none() | strategies.hosts,
        st.none() | _text,
    )
)
def test_what_is_signed_can_be_read(claims: Claims) -> None:
    assert signer_at().read(signer_at().sign(claims, 300), claims.host) == claims


def test_its_form_is_that_of_the_distribution_project(signer: Signer) -> None:
    said = said_in(signer.sign(CLAIMS, 300))
    jti = said.pop("jti")
    sealed = said.pop("sealed")
    assert said == {
        "iss": "crproxy",
        "sub": "alice",
        "aud": "quay.cr.test",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 300,
        "registry": "quay.io",
        "access": [
            {"type": "repository", "name": "org/name", "actions": ["pull"]},
            {"type": "repository", "name": "org/other", "actions": ["pull"]},
        ],
    }
    again = said_in(signer.sign(CLAIMS, 300))
    assert (again["jti"] != jti, again["sealed"] != sealed) == (True, True)


def test_s23_a_token_ends(signer: Signer, clock: Clock) -> None:
    token = signer.sign(CLAIMS, 300)
    clock.advance(299)
    assert signer.read(token, CLAIMS.host) == CLAIMS
    clock.advance(1)
    with pytest.raises(BadToken, match=r"^this token has expired$"):
        signer.read(token, CLAIMS.host)


@pytest.mark.parametrize("host", ["cr.test", "docker.cr.test", "", "QUAY.cr.test"])
def test_s23_it_is_for_one_host(signer: Signer, host: str) -> None:
    with pytest.raises(BadToken, match="is for another host"):
        signer.read(signer.sign(CLAIMS, 300), host)


@pytest.mark.parametrize("host", ["", "cr.test"])
def test_s23_one_that_is_for_no_host_is_good_at_none(signer: Signer, host: str) -> None:
    token = signer.sign(Claims("alice", ""), 300)
    with pytest.raises(BadToken):
        signer.read(token, host)


def test_s23_another_key_signs_nothing_of_ours(signer: Signer) -> None:
    for key in (bytes(64), KEY[32:] + KEY[:32], KEY[:63] + b"x"):
        token = signer_at(key=key).sign(CLAIMS, 300)
        with pytest.raises(BadToken, match=r"^this is no token of this proxy$"):
            signer.read(token, CLAIMS.host)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_s23_the_algorithm_is_ours_to_choose(signer: Signer, algorithm: str) -> None:
    token = signed(said_in(signer.sign(CLAIMS, 300)), KEY[:32] * 2, algorithm)
    with pytest.raises(BadToken, match="no token of this proxy"):
        signer.read(token, CLAIMS.host)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "", "HS256", "RS256", None, [], {}, 1])
def test_s23_so_nothing_goes_unsigned(signer: Signer, name: object) -> None:
    said = said_in(signer.sign(CLAIMS, 300))
    for signature in ("", "AAAA"):
        token = f"{part({'alg': name, 'typ': 'JWT'})}.{part(said)}.{signature}"
        with pytest.raises(BadToken, match="no token of this proxy"):
            signer.read(token, CLAIMS.host)


@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp"])
def test_s23_a_token_says_all_that_it_must(signer: Signer, missing: str) -> None:
    said = said_in(signer.sign(CLAIMS, 300))
    del said[missing]
    with pytest.raises(BadToken):
        signer.read(signed(said), CLAIMS.host)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"exp": "2099"},
        {"exp": NOW + 1.5},
        {"exp": None},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": [2**60]},
        {"sub": None},
        {"sub": 7},
        {"aud": None},
        {"sealed": ""},
        {"sealed": 7},
        {"sealed": "é"},
        {"sealed": []},
    ],
)
def test_one_that_says_something_odd_is_none(signer: Signer, change: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        signer.read(signed(said_in(signer.sign(CLAIMS, 300)) | change), CLAIMS.host)


def test_s23_any_character_that_is_changed_is_seen(signer: Signer) -> None:
    token = signer.sign(CLAIMS, 300)
    for at in range(len(token) - 1):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(BadToken):
            signer.read(changed, CLAIMS.host)


def test_what_is_sealed_cannot_be_read_by_who_carries_it(signer: Signer) -> None:
    """S26."""
    token = signer.sign(CLAIMS, 300)
    sealed = said_in(token)["sealed"]
    assert SECRET not in token + json.dumps(said_in(token))
    assert SECRET.encode() not in base64.urlsafe_b64decode(sealed)
    assert SECRET not in repr(CLAIMS)
    assert Fernet(base64.urlsafe_b64encode(KEY[32:])).decrypt(sealed) == SECRET.encode()


def test_nor_is_one_seal_as_good_as_another(signer: Signer) -> None:
    said = said_in(signer.sign(CLAIMS, 300))
    said["sealed"] = Fernet(Fernet.generate_key()).encrypt(b"Bearer another").decode()
    with pytest.raises(BadToken, match="no token of this proxy"):
        signer.read(signed(said), CLAIMS.host)


def test_what_is_too_long_for_a_header_is_not_made(signer: Signer) -> None:
    claims = Claims("alice", "cr.test", authorization="Bearer " + secrets.token_urlsafe(6_000))
    with pytest.raises(ValueError, match=r"a token of .* bytes, where 12288 are the most"):
        signer.sign(claims, 300)
    assert len(signer.sign(Claims("alice", "cr.test", authorization="Bearer " + secrets.token_urlsafe(4_000)), 9)) > 0


def test_as_many_names_as_can_be_asked_for_fit(signer: Signer) -> None:
    names = frozenset(f"{number:02}" + "~" * 298 for number in range(16))
    claims = Claims("a" * 60, "x" * 253, names)
    assert signer.read(signer.sign(claims, 300), claims.host) == claims


def test_a_key_is_read_at_the_first_token_and_once(clock: Clock) -> None:
    read: list[bytes] = []

    def load() -> bytes:
        read.append(KEY)
        return KEY

    signer = Signer(load, clock)
    assert read == []
    signer.read(signer.sign(CLAIMS, 300), CLAIMS.host)
    assert len(read) == 1


_headers: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "x"]),
    st.sampled_from(["none", "HS256", "JWT", "", None, False, True, 0, [], ["b64"], {}]),
)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()) | st.text(".eyJ=-_"))
@example("")
@example("..")
@example("." * 5)
@example("eyJhbGciOiJIUzI1NiJ9..")
def test_any_text_is_a_bad_token(text: str) -> None:
    assert isinstance(outcome(BadToken, signer_at().read, text, "cr.test"), BadToken)


@given(_headers, st.dictionaries(st.sampled_from(["exp", "aud", "sub"]), st.just("cr.test")))
def test_any_header_is_a_bad_token(header: dict[str, Any], said: dict[str, str]) -> None:
    token = f"{part(header)}.{part(said)}.{part('x')}"
    assert isinstance(outcome(BadToken, signer_at().read, token, "cr.test"), BadToken)


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"alg":' * 3_000])
def test_s17_however_deep_it_goes(signer: Signer, deep: str) -> None:
    header = base64.urlsafe_b64encode(deep.encode()).rstrip(b"=").decode()
    with pytest.raises(BadToken):
        signer.read(f"{header}.{header}.x", "cr.test")
