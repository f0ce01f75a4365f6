"""Whose signatures count, and what is said of what names nobody."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from crproxy.signatures import Identity, Trust
from tests.signing import Signer, public_pem

ALICE, BOB = Signer().public, Signer().public
RELEASES = Identity("releases@example.org", "https://accounts.example.org")
ROOT = json.dumps({"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"})
PRIVATE = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "P-521", "Ed25519", "RSA"],
)
def test_these_keys_are_taken(key: object) -> None:
    assert Trust.parse([public_pem(key)]).keys == (public_pem(key),)


def test_the_order_and_the_layout_say_nothing() -> None:
    one = Trust.parse([ALICE, BOB, ALICE], [RELEASES])
    other = Trust.parse([f"\n{BOB}\n\n", ALICE.replace("\n", "\r\n")], [RELEASES, RELEASES])
    assert one == other
    assert hash(one) == hash(other)
    assert one.fingerprint == other.fingerprint
    assert len(one.fingerprint) == 32


def test_other_trust_has_another_fingerprint() -> None:
    parsed = [
        Trust.parse([ALICE]),
        Trust.parse([BOB]),
        Trust.parse([ALICE, BOB]),
        Trust.parse([ALICE], [RELEASES]),
        Trust.parse([], [RELEASES]),
        Trust.parse([], [RELEASES], ROOT),
        Trust.parse([], [Identity(RELEASES.subject, "https://elsewhere.example.org")]),
    ]
    assert len({trust.fingerprint for trust in parsed}) == len(parsed)


def test_it_says_who_it_is_for_people() -> None:
    assert str(Trust.parse([ALICE])) == "1 key"
    assert str(Trust.parse([ALICE, BOB], [RELEASES])) == (
        "2 keys or releases@example.org (https://accounts.example.org)"
    )


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "this is no public key in PEM"),
        ("nonsense \N{SNOWMAN}", "this is no public key in PEM"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "this is no public key in PEM"),
        ("x" * 20_000, "a public key has at most"),
        (PRIVATE, "this is a private key: keep it secret"),
        ("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n", "this is a private key: keep it secret"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "this is a certificate"),
        (ALICE + BOB, "there are several keys in one"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "a public key of another kind"),
        (public_pem(dsa.generate_private_key(1024)), "a public key of another kind"),
        (public_pem(ec.generate_private_key(ec.SECP256K1())), "a public key of another kind"),
    ],
)
def test_other_keys_are_not(key: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Trust.parse([key])


def test_ed25519_takes_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crproxy.signatures.keys.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'crproxy\[sigstore\]'"):
        Trust.parse([public_pem(ed25519.Ed25519PrivateKey.generate())])


@pytest.mark.parametrize(
    ("identities", "root", "words"),
    [
        ([], None, "nobody is trusted"),
        ([Identity("", "https://accounts.example.org")], None, "has no subject"),
        ([Identity("releases@example.org", "")], None, "has no issuer"),
        ([RELEASES], "nonsense", "is no JSON"),
        ([RELEASES], "\ud800", "is no JSON"),
        ([RELEASES], "[]", "is something else"),
        ([RELEASES], '{"mediaType": "text/plain"}', "is something else"),
        ([RELEASES], " " * 2_000_000, "at most"),
        ([Identity(f"{n}@example.org", "https://i.example.org") for n in range(40)], None, "more than 32"),
    ],
)
def test_who_is_named_wrongly(identities: list[Identity], root: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Trust.parse([], identities, root)


def test_a_root_is_for_identities() -> None:
    with pytest.raises(ValueError, match="a key needs none"):
        Trust.parse([ALICE], [], ROOT)
