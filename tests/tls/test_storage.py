from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from crproxy.policy.urls import Origin
from crproxy.tls.certificates import BadCertificate, self_signed
from crproxy.tls.storage import CertificateStorage, pem_of, read_account_key

CA = Origin("https", "acme.example", 443)


@pytest.fixture
def storage(tmp_path: Path) -> CertificateStorage:
    return CertificateStorage(tmp_path, CA)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_kept_is_found_again(storage: CertificateStorage, tmp_path: Path) -> None:
    assert storage.load("cr.test") is None
    certified = self_signed("cr.test", 0)
    storage.keep("cr.test", certified)
    found = CertificateStorage(tmp_path, CA).load("cr.test")
    assert found is not None
    assert found.leaf == certified.leaf


@pytest.mark.security("S22")
def test_nobody_else_may_read_it(storage: CertificateStorage, tmp_path: Path) -> None:
    storage.keep("cr.test", self_signed("cr.test", 0))
    storage.account_key()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"cr.test.pem", "account.pem"}
    assert {mode(path) for path in files} == {0o600}
    assert {mode(path) for path in tmp_path.rglob("*") if path.is_dir()} == {0o700}


@pytest.mark.security("S22")
def test_the_account_has_one_key(storage: CertificateStorage, tmp_path: Path) -> None:
    first, again = storage.account_key(), CertificateStorage(tmp_path, CA).account_key()
    assert isinstance(first.curve, ec.SECP256R1)
    assert first.private_numbers() == again.private_numbers()


def test_another_ca_has_files_of_its_own(storage: CertificateStorage, tmp_path: Path) -> None:
    storage.keep("cr.test", self_signed("cr.test", 0))
    staging = CertificateStorage(tmp_path, Origin("https", "acme.example", 14000))
    assert staging.load("cr.test") is None
    assert staging.account_key().private_numbers() != storage.account_key().private_numbers()


def test_a_certificate_is_replaced_as_a_whole(storage: CertificateStorage, tmp_path: Path) -> None:
    for _ in range(3):
        certified = self_signed("cr.test", 0)
        storage.keep("cr.test", certified)
        found = storage.load("cr.test")
        assert found is not None
        assert found.leaf == certified.leaf
    assert [path.name for path in tmp_path.rglob("*.pem*")] == ["cr.test.pem"]


def test_what_is_damaged_says_so(storage: CertificateStorage, tmp_path: Path) -> None:
    storage.keep("cr.test", self_signed("cr.test", 0))
    (path,) = tmp_path.rglob("cr.test.pem")
    path.write_text("junk")
    with pytest.raises(BadCertificate):
        storage.load("cr.test")


KEYS = {
    "junk": b"junk",
    "rsa": rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ),
}


@pytest.mark.parametrize("content", KEYS.values(), ids=KEYS)
def test_a_key_that_is_none_is_not_overwritten(storage: CertificateStorage, tmp_path: Path, content: bytes) -> None:
    storage.account_key()
    (path,) = tmp_path.rglob("account.pem")
    path.write_bytes(content)
    with pytest.raises(BadCertificate, match="move it away, and a new account is made"):
        storage.account_key()
    assert path.read_bytes() == content


def test_a_directory_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("in the way")
    with pytest.raises(OSError, match="acme"):
        CertificateStorage(tmp_path, CA).keep("cr.test", self_signed("cr.test", 0))


def test_the_account_may_have_another_key(storage: CertificateStorage, tmp_path: Path) -> None:
    storage.account_key()
    other = ec.generate_private_key(ec.SECP256R1())
    storage.keep_account_key(other)
    found = CertificateStorage(tmp_path, CA).account_key()
    assert found.private_numbers() == other.private_numbers()
    (path,) = tmp_path.rglob("account.pem")
    assert mode(path) == 0o600
    assert found.private_numbers() == read_account_key(pem_of(other)).private_numbers()
