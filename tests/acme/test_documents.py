from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.acme.documents import (
    Account,
    AccountStatus,
    Authorization,
    AuthorizationStatus,
    Challenge,
    ChallengeStatus,
    Directory,
    Order,
    OrderStatus,
    parse_json,
)
from crproxy.acme.errors import Malformed, Problem
from tests.outcomes import outcome

URL = "https://ca.example/1"

# The examples of RFC 8555, 7.1.1 to 7.1.4 and 8.3, with what they have beyond what is read here.
DIRECTORY: dict[str, Any] = {
    "newNonce": "https://example.com/acme/new-nonce",
    "newAccount": "https://example.com/acme/new-account",
    "newOrder": "https://example.com/acme/new-order",
    "newAuthz": "https://example.com/acme/new-authz",
    "meta": {
        "termsOfService": "https://example.com/acme/terms/2017-5-30",
        "website": "https://www.example.com/",
        "caaIdentities": ["example.com"],
        "externalAccountRequired": True,
    },
}
ORDER: dict[str, Any] = {
    "status": "valid",
    "expires": "2016-01-20T14:09:07.99Z",
    "identifiers": [{"type": "dns", "value": "www.example.org"}, {"type": "dns", "value": "example.org"}],
    "authorizations": ["https://example.com/acme/authz/1", "https://example.com/acme/authz/2"],
    "finalize": "https://example.com/acme/order/1/finalize",
    "certificate": "https://example.com/acme/cert/1",
}
CHALLENGE: dict[str, Any] = {
    "type": "http-01",
    "url": "https://example.com/acme/chall/1",
    "status": "pending",
    "token": "DGyRejmCefe7v4NfDGDKfA",
}
AUTHORIZATION: dict[str, Any] = {
    "status": "pending",
    "identifier": {"type": "dns", "value": "www.example.org"},
    "challenges": [{**CHALLENGE, "type": "dns-01"}, CHALLENGE],
    "wildcard": False,
}
ACCOUNT: dict[str, Any] = {"status": "valid", "contact": ["mailto:ops@example.com"], "orders": URL}

Parse = Callable[[Any], object]
KINDS: list[tuple[Parse, dict[str, Any]]] = [
    (Directory.parse, DIRECTORY),
    (lambda document: Order.parse(document, URL), ORDER),
    (lambda document: Authorization.parse(document, URL), AUTHORIZATION),
    (Challenge.parse, CHALLENGE),
    (lambda document: Account.parse(document, URL), ACCOUNT),
]
kinds = pytest.mark.parametrize(
    ("parse", "example"), KINDS, ids=["directory", "order", "authz", "challenge", "account"]
)

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["valid", "pending", "http-01"]),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from([*DIRECTORY, *ORDER, *CHALLENGE, *AUTHORIZATION, "error"]), below, max_size=5)
    ),
    max_leaves=10,
)


def test_a_directory() -> None:
    assert Directory.parse(DIRECTORY) == Directory(
        DIRECTORY["newNonce"],
        DIRECTORY["newAccount"],
        DIRECTORY["newOrder"],
        None,
        DIRECTORY["meta"]["termsOfService"],
        True,
    )


def test_a_directory_without_meta() -> None:
    parsed = Directory.parse({**DIRECTORY, "meta": None, "renewalInfo": "https://example.com/ari"})
    assert (parsed.renewal_info, parsed.terms_of_service) == ("https://example.com/ari", None)
    assert not parsed.external_account_required


def test_an_order() -> None:
    assert Order.parse(ORDER, URL, 7) == Order(
        URL,
        OrderStatus.VALID,
        ("www.example.org", "example.org"),
        tuple(ORDER["authorizations"]),
        ORDER["finalize"],
        ORDER["certificate"],
        None,
        7,
    )


def test_an_order_that_failed_says_why() -> None:
    order = Order.parse({**ORDER, "status": "invalid", "error": {"detail": "no"}}, URL)
    assert (order.status, order.error) == (OrderStatus.INVALID, Problem(detail="no"))


def test_an_authorization() -> None:
    parsed = Authorization.parse(AUTHORIZATION, URL)
    assert (parsed.url, parsed.name, parsed.status) == (URL, "www.example.org", AuthorizationStatus.PENDING)
    assert [challenge.kind for challenge in parsed.challenges] == ["dns-01", "http-01"]
    assert parsed.challenge("http-01") == parsed.challenges[1]
    assert parsed.challenge("tls-alpn-01") is None
    assert parsed.error is None


def test_an_authorization_that_failed_says_why() -> None:
    failed = {**CHALLENGE, "status": "invalid", "error": {"type": "urn:ietf:params:acme:error:dns", "detail": "no"}}
    parsed = Authorization.parse({**AUTHORIZATION, "challenges": [CHALLENGE, failed]}, URL)
    assert parsed.error == Problem("dns", "no")


def test_a_challenge() -> None:
    parsed = Challenge.parse(CHALLENGE)
    assert parsed == Challenge("http-01", CHALLENGE["url"], ChallengeStatus.PENDING, CHALLENGE["token"])


def test_a_challenge_of_a_kind_to_come_may_have_no_token() -> None:
    without = {name: value for name, value in CHALLENGE.items() if name != "token"}
    parsed = Authorization.parse({**AUTHORIZATION, "challenges": [{**without, "type": "new-01"}, CHALLENGE]}, URL)
    assert parsed.challenge("new-01") is None
    assert parsed.challenge("http-01") is not None


@pytest.mark.parametrize("token", ["../../etc", "a b", "a\r\nb", "tök", "ab=="])
def test_a_token_is_base64url(token: str) -> None:
    with pytest.raises(Malformed, match="base64url"):
        Challenge.parse({**CHALLENGE, "token": token})


def test_an_account() -> None:
    assert Account.parse(ACCOUNT, URL) == Account(URL, AccountStatus.VALID, ("mailto:ops@example.com",))
    assert Account.parse({"status": "deactivated"}, URL) == Account(URL, AccountStatus.DEACTIVATED)


WRONG: list[object] = [None, 7, True, [7], {}, ""]


@kinds
def test_what_is_required_must_be_there_and_of_its_type(parse: Parse, example: dict[str, Any]) -> None:
    optional = {"meta", "newAuthz", "expires", "certificate", "wildcard", "contact", "orders", "token"}
    for name in set(example) - optional:
        without = {key: value for key, value in example.items() if key != name}
        for broken in (without, *({**example, name: wrong} for wrong in WRONG)):
            with pytest.raises(Malformed):
                parse(broken)


@kinds
@pytest.mark.parametrize("document", [None, 7, "text", [], True])
def test_a_document_is_an_object(parse: Parse, example: object, document: object) -> None:
    with pytest.raises(Malformed):
        parse(document)


@given(st.sampled_from(KINDS), documents, st.dictionaries(st.text(max_size=5), st.integers(), max_size=3))
def test_parsing_says_malformed_or_nothing(
    kind: tuple[Parse, dict[str, Any]], document: object, more: dict[str, int]
) -> None:
    parse, example = kind
    parsed = outcome(Malformed, parse, document)
    assert isinstance(parsed, Malformed | Directory | Order | Authorization | Challenge | Account)
    unknown = {f"x-{name}": value for name, value in more.items()}
    assert parse({**example, **unknown}) == parse(example)


def test_a_status_to_come_is_malformed() -> None:
    with pytest.raises(Malformed, match="'almost'"):
        Order.parse({**ORDER, "status": "almost"}, URL)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"<html>"])
def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(Malformed, match="not JSON"):
        parse_json(body)
