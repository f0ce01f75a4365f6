"""The account's key and what is signed with it: JWK, thumbprint, key authorizations, requests, external accounts.

RFC 7515, 7517, 7518 and 7638, as RFC 8555 uses them. Pure but for the randomness of a signature; knows no requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64decode, b64encode
from josepy.jwa import ES256, HS256
from josepy.jwk import JWKEC

__all__ = ["AccountKey", "ExternalAccount", "base64url", "is_base64url", "thumbprint"]

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


class AccountKey:
    """The key that an account at a CA belongs to: ECDSA on P-256, which every CA takes (RFC 8555, 6.2: ES256)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(key.curve, ec.SECP256R1):
            raise ValueError(f"an account's key is on P-256, not on {key.curve.name}")
        self._key = key
        self.jwk = _jwk(key.public_key())
        self.thumbprint = thumbprint(key.public_key())

    def key_authorization(self, token: str) -> str:
        """Return what proves that a challenge's ``token`` was seen by the holder of this key (RFC 8555, 8.1)."""
        return f"{token}.{self.thumbprint}"

    def sign(self, payload: bytes, url: str, nonce: str, account: str | None) -> bytes:
        """Return a request's body (RFC 8555, 6.2).

        Arguments:
            payload: empty for a POST-as-GET.
            url: where it is sent.
            nonce: the CA's, never used before.
            account: the account's URL; None to send the key itself, as for a new account.
        """
        identity = {"jwk": self.jwk} if account is None else {"kid": account}
        protected = _json({"alg": ES256.name, **identity, "nonce": nonce, "url": url})
        return _json(_flattened(protected, payload, ES256.sign(self._key, _signed(protected, payload))))


@dataclass(frozen=True, slots=True)
class ExternalAccount:
    """An account that the CA's operator knows us by, outside of ACME (RFC 8555, 7.3.4).

    Arguments:
        key_id: what the CA calls it.
        hmac_key: the secret that it came with.
    """

    key_id: str
    hmac_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, key_id: str, hmac_key: str) -> ExternalAccount:
        """Read what a CA hands out: "The MAC key SHOULD be provided in base64url-encoded form".

        Raises:
            ValueError: the key is not base64url.
        """
        # Some hand it out padded, or in the other alphabet of base64.
        plain = hmac_key.strip().rstrip("=").replace("+", "-").replace("/", "_")
        if not key_id or not is_base64url(plain):
            raise ValueError("an external account is a key identifier and an HMAC key in base64url")
        return cls(key_id, b64decode(plain))

    def bind(self, key: AccountKey, url: str) -> dict[str, str]:
        """Return the ``externalAccountBinding`` of ``key``, for the new account that is asked for at ``url``."""
        protected, payload = _json({"alg": HS256.name, "kid": self.key_id, "url": url}), _json(key.jwk)
        return _flattened(protected, payload, HS256.sign(self.hmac_key, _signed(protected, payload)))


def thumbprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the thumbprint of ``key`` (RFC 7638) in base64url."""
    return base64url(JWKEC(key=key).thumbprint())


def base64url(content: bytes) -> str:
    """Return ``content`` in base64url without padding (RFC 7515, 2)."""
    return b64encode(content).decode("ascii")


def is_base64url(text: str) -> bool:
    """Tell whether ``text`` is base64url without padding, and not empty."""
    # A single character more than a multiple of four holds no byte.
    return _BASE64URL.fullmatch(text) is not None and len(text) % 4 != 1


def _jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    members: dict[str, str] = JWKEC(key=key).to_json()
    return members


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _signed(protected: bytes, payload: bytes) -> bytes:
    """Return the JWS Signing Input (RFC 7515, 2)."""
    return f"{base64url(protected)}.{base64url(payload)}".encode("ascii")


def _flattened(protected: bytes, payload: bytes, signature: bytes) -> dict[str, str]:
    """Return the Flattened JWS JSON Serialization (RFC 7515, 7.2.2)."""
    return {
        "protected": base64url(protected),
        "payload": base64url(payload),
        "signature": base64url(signature),
    }
