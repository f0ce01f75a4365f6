"""The CA of the HTTP proxy: what it signs, and what it is read from. What verifiers think of it: test_verifiers.py."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from crproxy.forward.authority import AUTHORITY_SECONDS, Authority, BadAuthority

NOW = 1_800_000_000.0
DAY = 86400.0
NAMES = frozenset({"ghcr.io", "registry-1.docker.io"})
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new(NAMES, NOW)


def test_it_signs_only_for_its_names(authority: Authority) -> None:
    for name in ("example.com", "sub.ghcr.io", "GHCR.IO", ""):
        with pytest.raises(BadAuthority, match="none of the names"):
            authority.sign(name, KEY.public_key(), NOW, DAY)


def test_one_for_no_name_is_not_made() -> None:
    with pytest.raises(BadAuthority, match="no name at all"):
        Authority.new((), NOW)


def test_it_is_read_as_it_was_written(authority: Authority) -> None:
    again = Authority.from_pem(authority.to_pem())
    assert again.names == NAMES
    assert again.fingerprint == authority.fingerprint
    assert (again.not_before, again.not_after) == (NOW - 3600, NOW + AUTHORITY_SECONDS)
    assert b"PRIVATE" not in authority.shown()


def test_what_is_no_ca_of_ours_is_not_read(authority: Authority, tmp_path: Path) -> None:
    other = Authority.new(NAMES, NOW)
    key = authority.to_pem().removesuffix(authority.shown())
    for pem in (b"", b"junk", authority.shown(), key, key + other.shown(), authority.to_pem()[:300]):
        with pytest.raises(BadAuthority):
            Authority.from_pem(pem)


CERTIFICATE = Authority.new(NAMES, NOW, KEY).certificate
DER = CERTIFICATE.public_bytes(serialization.Encoding.DER)
# Behind it is the signature, of which some bits mean nothing.
SIGNED = DER.index(CERTIFICATE.signature) - 3
PRIVATE = Authority.new(NAMES, NOW, KEY).to_pem().partition(b"-----BEGIN CERTIFICATE")[0]


# A serial number that is negative is told of by a warning, too.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.integers(0, SIGNED - 1), st.integers(1, 255))
@example(DER.index(b"\xa0\x03\x02\x01\x02") + 4, 1)
@example(DER.index(b"\xa0\x03\x02\x01\x02") + 7, 0x80)
@example(DER.index(b"\x2a\x86\x48\xce\x3d\x02\x01") + 1, 1)
def test_one_of_which_a_byte_was_damaged_is_not_read(place: int, change: int) -> None:
    der = bytearray(DER)
    der[place] ^= change
    lines = base64.encodebytes(bytes(der))
    with pytest.raises(BadAuthority):
        Authority.from_pem(PRIVATE + b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n")


def test_a_leaf_never_outlives_it() -> None:
    authority = Authority.new(NAMES, NOW)
    end = NOW + AUTHORITY_SECONDS
    leaf = authority.sign("ghcr.io", KEY.public_key(), end - 60, DAY)
    assert leaf.not_valid_after_utc.timestamp() == end


@given(st.floats(0, 3e9), st.floats(1, 1e8))
def test_a_leaf_counts_from_before_now(since: float, seconds: float) -> None:
    authority = Authority.new(NAMES, since, KEY)
    leaf = authority.sign("ghcr.io", KEY.public_key(), since + 10, seconds)
    assert leaf.not_valid_before_utc.timestamp() <= since
    assert authority.not_before <= leaf.not_valid_before_utc.timestamp()
    assert leaf.not_valid_after_utc.timestamp() <= authority.not_after
