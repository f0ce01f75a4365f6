"""Public keys: which are taken, and what they say of a signature.

cosign writes no algorithm beside a signature: the key says it ("Signature Schemes" of its specification).
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

__all__ = ["PublicKey", "canonical", "has_signed", "has_signed_digest", "public_key"]

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

_SHA256 = hashes.SHA256()
# cosign 3 hashes with that of the curve's size (seen with 3.1.3), former ones with SHA-256 whatever the curve.
_CURVES: dict[str, tuple[hashes.HashAlgorithm, ...]] = {
    "secp256r1": (_SHA256,),
    "secp384r1": (_SHA256, hashes.SHA384()),
    "secp521r1": (_SHA256, hashes.SHA512()),
}
# Bits of an RSA key: fewer are broken by those who have the means, and more take long to check.
_RSA_SMALLEST, _RSA_LARGEST = 2048, 8192
# Characters of a key, and of a file that it is taken from: RSA with 8192 bits has 1,450.
_LONGEST = 16_384
# Bytes of a signature.
_ED25519_SIZE = 64
_KINDS = "an ECDSA key of P-256, P-384 or P-521, an Ed25519 key, or an RSA key of 2048 to 8192 bits"


def canonical(pem: str) -> str:
    """Return a public key as everybody writes it, or raise ValueError that says what is wrong, and what to do."""
    return (
        public_key(pem)
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode("ascii")
    )


@functools.lru_cache(64)
def public_key(pem: str) -> PublicKey:
    """Return the public key that ``pem`` writes. Raises ValueError."""
    if len(pem) > _LONGEST:
        raise ValueError(f"a public key has at most {_LONGEST} characters: name the file of one key")
    _check_kind(pem)
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"this is no public key in PEM: write what cosign public-key prints, {_KINDS}") from error
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return key
        case rsa.RSAPublicKey() if _RSA_SMALLEST <= key.key_size <= _RSA_LARGEST:
            return key
        case ed25519.Ed25519PublicKey() if importlib.util.find_spec("nacl") is None:
            raise ValueError(
                "signatures by Ed25519 take pip install 'crproxy[sigstore]' to verify; or take a key of P-256"
            )
        case ed25519.Ed25519PublicKey():
            return key
    raise ValueError(f"this is a public key of another kind: take {_KINDS}")


def _check_kind(pem: str) -> None:
    begins = pem.count("-----BEGIN ")
    if "PRIVATE KEY" in pem:
        raise ValueError("this is a private key: keep it secret, and write what cosign public-key --key KEY prints")
    if "-----BEGIN CERTIFICATE" in pem:
        raise ValueError("this is a certificate: write its public key, which openssl x509 -noout -pubkey prints")
    if begins > 1:
        raise ValueError("there are several keys in one: name a file for each")


def has_signed(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Tell whether ``signature`` is one of ``message`` by the holder of ``key``."""
    return any(_is_by(key, signature, message, algorithm) for algorithm in _algorithms(key))


def has_signed_digest(key: PublicKey, signature: bytes, sha256: bytes) -> bool:
    """Tell the same of a message of which only the SHA-256 is known. Ed25519 signs no hash, so that it never is."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return False
    return _is_by(key, signature, sha256, Prehashed(_SHA256))


def _algorithms(key: PublicKey) -> Iterator[hashes.HashAlgorithm]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        yield from _CURVES[key.curve.name]
    else:
        # Ed25519 has its own inside.
        yield _SHA256


def _is_by(key: PublicKey, signature: bytes, data: bytes, algorithm: hashes.HashAlgorithm | Prehashed) -> bool:
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(signature, data, ec.ECDSA(algorithm))
            case rsa.RSAPublicKey():
                key.verify(signature, data, PKCS1v15(), algorithm)
            case ed25519.Ed25519PublicKey():
                return _is_by_ed25519(key, signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_by_ed25519(key: ed25519.Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Tell it of Ed25519, and of Ed25519ph, which cosign signs images with (RFC 8032, 5.1). Raises InvalidSignature."""
    if len(signature) != _ED25519_SIZE:
        return False
    if _is_by_ed25519ph(key, signature, message):
        return True
    key.verify(signature, message)
    return True


def _is_by_ed25519ph(key: ed25519.Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    # cryptography does not have it.
    from nacl import bindings, exceptions

    state = bindings.crypto_sign_ed25519ph_state()
    bindings.crypto_sign_ed25519ph_update(state, message)
    try:
        return bool(bindings.crypto_sign_ed25519ph_final_verify(state, signature, key.public_bytes_raw()))
    except exceptions.CryptoError:
        return False
