"""Bundles with certificates, verified by sigstore's own library."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.signatures import Identity, NotSigned, Trust, bundles, keyless
from crproxy.signatures.keyless import TrustedRootUnavailable
from tests.signatures.test_documents import VALUES
from tests.signing import PROVENANCE
from tests.sigstore_instance import ISSUER, NOON, SUBJECT, Instance

IMAGE, OTHER = Digest.of(b"image"), Digest.of(b"other")
INSTANCE = Instance()
BUNDLE = INSTANCE.bundle(IMAGE)
WORKFLOW = "https://github.com/org/app/.github/workflows/release.yml@refs/heads/main"
IDENTITIES = [Identity("somebody@example.org", ISSUER), Identity(SUBJECT, ISSUER), Identity(WORKFLOW, ISSUER)]
TRUST = Trust.parse([], IDENTITIES, INSTANCE.trusted_root)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects anywhere fails."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it uses the network"))


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    keyless._public.cache_clear()


def checked(bundle: bytes, image: Digest = IMAGE, trust: Trust = TRUST) -> None:
    bundles.check(bundle, image, trust, lambda *named: keyless.check(named[0], named[1], named[2], 0.0))


@pytest.mark.parametrize("subject", [SUBJECT, WORKFLOW])
def test_an_image_that_is_signed(subject: str) -> None:
    checked(INSTANCE.bundle(IMAGE, subject=subject))


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        (INSTANCE.bundle(OTHER), "one of another image"),
        (INSTANCE.bundle(IMAGE, predicate=PROVENANCE), "which is no signature"),
        (INSTANCE.bundle(IMAGE, subject="mallory@example.org"), "by somebody else, 'mallory@example.org'"),
        (INSTANCE.bundle(IMAGE, issuer="https://elsewhere.example.org"), "by somebody else"),
        (INSTANCE.bundle(IMAGE, signed=NOON + datetime.timedelta(hours=1)), "does not hold"),
        (INSTANCE.bundle(IMAGE, signed=NOON - datetime.timedelta(hours=1)), "does not hold"),
        (Instance().bundle(IMAGE), "does not hold"),
    ],
)
def test_it_is_not(bundle: bytes, words: str) -> None:
    with pytest.raises(NotSigned, match=words):
        checked(bundle)


def at(document: Any, *keys: str | int) -> Any:
    for key in keys:
        document = document[key]
    return document


ENTRY = ("verificationMaterial", "tlogEntries", 0)


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        (("verificationMaterial",), "tlogEntries", []),
        (("verificationMaterial",), "certificate", {}),
        (("verificationMaterial",), "certificate", {"rawBytes": "AAAA"}),
        (ENTRY, "inclusionProof", None),
        (ENTRY, "inclusionPromise", None),
        (ENTRY, "inclusionPromise", {"signedEntryTimestamp": "AAAA"}),
        (ENTRY, "integratedTime", str(int(NOON.timestamp()) + 1)),
        (ENTRY, "canonicalizedBody", "AAAA"),
        (ENTRY, "logId", {"keyId": "AAAA"}),
        ((*ENTRY, "inclusionProof"), "rootHash", "AAAA"),
        ((*ENTRY, "inclusionProof"), "checkpoint", {"envelope": "x"}),
        (("dsseEnvelope",), "payload", base64.b64encode(b"{}").decode()),
        (("dsseEnvelope",), "payloadType", "text/plain"),
        (("dsseEnvelope", "signatures", 0), "sig", "AAAA"),
        (("dsseEnvelope",), "signatures", []),
        ((), "dsseEnvelope", None),
        ((), "dsseEnvelope", {}),
        ((), "mediaType", "application/vnd.dev.sigstore.bundle.v9+json"),
        ((), "messageSignature", {"signature": "AAAA"}),
    ],
)
def test_every_part_of_it_counts(place: tuple[str | int, ...], key: str, value: Any) -> None:
    document = json.loads(BUNDLE)
    at(document, *place)[key] = value
    with pytest.raises(NotSigned):
        checked(json.dumps(document).encode())


def test_parts_of_two_do_not_make_one() -> None:
    one, other = json.loads(BUNDLE), json.loads(INSTANCE.bundle(IMAGE))
    with pytest.raises(NotSigned, match="does not hold"):
        checked(json.dumps(one | {"dsseEnvelope": other["dsseEnvelope"]}).encode())
    with pytest.raises(NotSigned, match="does not hold"):
        checked(json.dumps(one | {"verificationMaterial": other["verificationMaterial"]}).encode())


def test_a_root_that_is_none() -> None:
    root = json.dumps({"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": 1})
    with pytest.raises(NotSigned, match="the trusted root that this proxy is given cannot be used"):
        checked(BUNDLE, trust=Trust.parse([], IDENTITIES, root))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyless, "is_installed", lambda: False)
    with pytest.raises(NotSigned, match=r"takes pip install 'crproxy\[sigstore\]'"):
        checked(BUNDLE)
    keyless.prepare(0.0)


def test_a_signature_of_the_manifest_is_of_its_sha256() -> None:
    document = json.loads(BUNDLE)
    document["messageSignature"] = {"signature": "AAAA"}
    del document["dsseEnvelope"]
    with pytest.raises(NotSigned, match="its digest is not"):
        checked(json.dumps(document).encode(), Digest.of(b"image", "sha512"))
    with pytest.raises(NotSigned, match="does not hold"):
        checked(json.dumps(document).encode())


# The public instance's trusted root


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each time that the public instance's root was fetched, which is INSTANCE's here."""
    from sigstore.verify import Verifier

    verifier, times = keyless._of(INSTANCE.trusted_root), list[str]()

    def production() -> Verifier:
        times.append("fetched")
        return verifier

    monkeypatch.setattr(Verifier, "production", production)
    return times


def test_it_is_fetched_once_a_day(fetched: list[str]) -> None:
    public = Trust.parse([], IDENTITIES)
    for now in (0.0, 86_399.0, 86_400.0):
        keyless.prepare(now)
        keyless.check(BUNDLE, IMAGE, public, now)
    assert fetched == ["fetched"] * 2


def test_it_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from sigstore.verify import Verifier

    def production() -> Verifier:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(Verifier, "production", production)
    with pytest.raises(TrustedRootUnavailable, match="cannot be fetched: no route to host; a file of it"):
        checked(BUNDLE, trust=Trust.parse([], IDENTITIES))
    with pytest.raises(TrustedRootUnavailable):
        keyless.prepare(0.0)


PLACES: list[tuple[str | int, ...]] = [
    (),
    ("verificationMaterial",),
    ENTRY,
    (*ENTRY, "inclusionProof"),
    ("dsseEnvelope",),
]


@given(st.sampled_from(PLACES), st.data(), VALUES)
def test_any_bundle_is_refused(place: tuple[str | int, ...], data: st.DataObject, value: Any) -> None:
    document = json.loads(BUNDLE)
    part = at(document, *place)
    key = data.draw(st.sampled_from(sorted(part)))
    if (part[key] or None) == (value or None):
        return
    part[key] = value
    with pytest.raises(NotSigned):
        checked(json.dumps(document).encode())


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_any_byte_may_be_another(place: int, byte: int) -> None:
    """It holds or it does not, and nothing else happens: white space and what nobody signs may be anything."""
    place %= len(BUNDLE)
    with contextlib.suppress(NotSigned):
        checked(BUNDLE[:place] + bytes([byte]) + BUNDLE[place + 1 :])
