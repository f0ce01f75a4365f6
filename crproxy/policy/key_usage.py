"""What the key of a certificate may be used for (RFC 5280, 4.2.1.3)."""

from __future__ import annotations

from typing import Any

from cryptography import x509

__all__ = ["key_usage"]

_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def key_usage(*used: str) -> x509.KeyUsage:
    """Return the extension that allows ``used``, by cryptography's names, and nothing else."""
    allowed: dict[str, Any] = {use: use in used for use in _USES}
    return x509.KeyUsage(**allowed)
