"""What keys say of signatures."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from crproxy.signatures.keys import has_signed, has_signed_digest, public_key
from tests.signing import Signer

RSA = Signer(rsa.generate_private_key(65537, 2048))
ED25519 = ed25519.Ed25519PrivateKey.generate()
SIGNERS = {
    "P-256": Signer(),
    "P-384": Signer(ec.generate_private_key(ec.SECP384R1())),
    "P-384 with its own hash": Signer(ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
    "P-521": Signer(ec.generate_private_key(ec.SECP521R1())),
    "P-521 with its own hash": Signer(ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()),
    "RSA": RSA,
    "Ed25519ph": Signer(ED25519),
    "Ed25519": Signer(ED25519, pure=True),
}
each = pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)


@each
def test_its_own(signer: Signer) -> None:
    assert has_signed(public_key(signer.public), signer.sign(b"a message"), b"a message")


@each
def test_of_something_else(signer: Signer) -> None:
    assert not has_signed(public_key(signer.public), signer.sign(b"a message"), b"another")


@each
def test_anothers(signer: Signer) -> None:
    key = public_key(signer.public)
    for other in SIGNERS.values():
        if other.public != signer.public:
            assert not has_signed(key, other.sign(b"a message"), b"a message")


@given(st.sampled_from(list(SIGNERS.values())), st.binary(max_size=600), st.binary(max_size=20))
def test_anything_else(signer: Signer, signature: bytes, message: bytes) -> None:
    assert not has_signed(public_key(signer.public), signature, message)
    assert not has_signed_digest(public_key(signer.public), signature, hashlib.sha256(message).digest())


@pytest.mark.parametrize("name", ["P-256", "P-384", "P-521", "RSA"])
def test_a_digest_is_enough(name: str) -> None:
    signer, digest = SIGNERS[name], hashlib.sha256(b"a message").digest()
    key = public_key(signer.public)
    assert has_signed_digest(key, signer.sign(b"a message"), digest)
    assert not has_signed_digest(key, signer.sign(b"another"), digest)


@pytest.mark.parametrize("name", ["Ed25519", "Ed25519ph"])
def test_a_digest_is_not_enough_for_ed25519(name: str) -> None:
    signer = SIGNERS[name]
    assert not has_signed_digest(
        public_key(signer.public), signer.sign(b"a message"), hashlib.sha256(b"a message").digest()
    )
