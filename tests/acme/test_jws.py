from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from crproxy.acme.jws import AccountKey, ExternalAccount, base64url, is_base64url, thumbprint
from tests.acme.fake_ca import public_key, unpadded

URL = "https://ca.example/account"


def test_a_thumbprint_is_that_of_the_specification() -> None:
    # RFC 9449, 4.1 and 6.1: a key and its thumbprint by RFC 7638.
    example = {
        "kty": "EC",
        "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    }
    assert thumbprint(public_key(example)) == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@given(st.integers(1, 2**200))
def test_a_coordinate_keeps_its_leading_zeros(secret: int) -> None:
    # RFC 7518, 6.2.1.2: "The length of this octet string MUST be the full size of a coordinate for the curve".
    key = AccountKey(ec.derive_private_key(secret, ec.SECP256R1()))
    assert {len(unpadded(key.jwk[name])) for name in "xy"} == {32}


def test_the_key_itself_is_never_sent(key: AccountKey) -> None:
    assert set(key.jwk) == {"kty", "crv", "x", "y"}


def test_another_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="secp384r1"):
        AccountKey(ec.generate_private_key(ec.SECP384R1()))


def test_a_key_authorization_is_token_and_thumbprint(key: AccountKey) -> None:
    required = json.dumps(key.jwk, sort_keys=True, separators=(",", ":")).encode()
    expected = f"tok-en_1.{base64url(hashlib.sha256(required).digest())}"
    assert key.key_authorization("tok-en_1") == expected


@pytest.mark.parametrize("account", [None, "https://ca.example/account/1"])
def test_a_request_names_its_key_one_way(key: AccountKey, account: str | None) -> None:
    header = json.loads(unpadded(json.loads(key.sign(b"", URL, "n1", account))["protected"]))
    identity = {"jwk": key.jwk} if account is None else {"kid": account}
    assert header == {"alg": "ES256", "nonce": "n1", "url": URL, **identity}


def test_a_post_as_get_has_an_empty_payload(key: AccountKey) -> None:
    assert json.loads(key.sign(b"", URL, "n1", None))["payload"] == ""


@given(st.binary(max_size=200))
def test_base64url_comes_back(content: bytes) -> None:
    text = base64url(content)
    assert unpadded(text) == content
    assert is_base64url(text) == bool(content)


@pytest.mark.parametrize("text", ["", "a", "abcde", "ab==", "a+b_", "a/bc", "ab c", "abc\n", "äbcd"])
def test_what_is_not_base64url(text: str) -> None:
    assert not is_base64url(text)


class TestExternalAccount:
    SECRET = bytes(range(200, 232))

    def test_it_binds_the_key(self, key: AccountKey) -> None:
        bound = ExternalAccount("kid-1", self.SECRET).bind(key, URL)
        assert json.loads(unpadded(bound["protected"])) == {"alg": "HS256", "kid": "kid-1", "url": URL}
        assert json.loads(unpadded(bound["payload"])) == key.jwk
        signed = f"{bound['protected']}.{bound['payload']}".encode()
        assert unpadded(bound["signature"]) == hmac.digest(self.SECRET, signed, "sha256")

    @pytest.mark.parametrize("encode", [base64.urlsafe_b64encode, base64.b64encode])
    @pytest.mark.parametrize("padding", ["", "="])
    @pytest.mark.parametrize("end", ["", "\n"])
    def test_its_key_is_read_as_it_is_handed_out(
        self, encode: Callable[[bytes], bytes], padding: str, end: str
    ) -> None:
        text = encode(self.SECRET).decode().rstrip("=") + padding + end
        assert ExternalAccount.parse("kid-1", text) == ExternalAccount("kid-1", self.SECRET)

    @pytest.mark.parametrize(
        ("key_id", "text"), [("", "YWJj"), ("kid-1", ""), ("kid-1", "YWJjZ"), ("kid-1", "se cret")]
    )
    def test_what_cannot_be_one_is_refused(self, key_id: str, text: str) -> None:
        with pytest.raises(ValueError, match="external account"):
            ExternalAccount.parse(key_id, text)

    def test_its_secret_is_not_shown(self) -> None:
        assert repr(ExternalAccount("kid-1", b"secret")) == "ExternalAccount(key_id='kid-1')"
