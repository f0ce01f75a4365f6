from __future__ import annotations

import datetime

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from crproxy.tls.certificates import BadCertificate, Certified, new_key, self_signed

NOW = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


@pytest.fixture(scope="module")
def issued() -> trustme.LeafCert:
    return trustme.CA().create_child_ca().issue_cert("CR.test", "*.cr.test")


def pem_of(issued: trustme.LeafCert) -> tuple[bytes, list[bytes]]:
    return issued.private_key_pem.bytes(), [blob.bytes() for blob in issued.cert_chain_pems]


def test_a_file_holds_a_key_and_a_chain(issued: trustme.LeafCert) -> None:
    key, chain = pem_of(issued)
    certified = Certified.from_pem(key + b"".join(chain))
    assert certified.names == {"cr.test", "*.cr.test"}
    assert len(certified.chain) == 2
    assert certified.chain[0].issuer == certified.chain[1].subject


def test_their_order_does_not_matter(issued: trustme.LeafCert) -> None:
    key, chain = pem_of(issued)
    certified = Certified.from_pem(b"".join(reversed(chain)) + key)
    assert certified.leaf == Certified.from_pem(key + b"".join(chain)).leaf


def test_what_is_written_is_read_again(issued: trustme.LeafCert) -> None:
    key, chain = pem_of(issued)
    certified = Certified.from_pem(key + b"".join(chain))
    again = Certified.from_pem(certified.to_pem())
    assert (again.chain, again.to_pem()) == (certified.chain, certified.to_pem())


def private(key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


OWN = self_signed("cr.test", NOW)
CERTIFICATE = OWN.leaf.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "there is no private key in it"),
        (CERTIFICATE, "there is no private key in it"),
        (private(new_key()), "there is no certificate in it that can be read"),
        (private(new_key()) + CERTIFICATE, "the key belongs to none of the certificates"),
        (private(new_key(), b"secret") + CERTIFICATE, "its private key is encrypted: store it without a passphrase"),
        (private(x25519.X25519PrivateKey.generate()) + CERTIFICATE, "its private key is neither an EC nor an RSA one"),
        (b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", "its private key cannot be read"),
        (OWN.to_pem()[:-40], "there is no certificate in it that can be read"),
    ],
)
def test_what_cannot_be_shown_says_why(pem: bytes, why: str) -> None:
    with pytest.raises(BadCertificate) as raised:
        Certified.from_pem(pem)
    assert str(raised.value).startswith(why)


def test_a_self_signed_one_is_for_its_name_and_some_time() -> None:
    assert OWN.names == {"cr.test"}
    assert (OWN.not_before, OWN.not_after) == (NOW - HOUR, NOW + 90 * DAY)
    assert isinstance(OWN.key, ec.EllipticCurvePrivateKey)
    assert OWN.leaf.issuer == OWN.leaf.subject


def test_a_long_name_has_room() -> None:
    name = ".".join(["a" * 60, "b" * 60, "test"])
    assert self_signed(name, NOW).names == {name}


def test_a_key_is_not_shown_by_accident() -> None:
    assert "key" not in repr(OWN)
