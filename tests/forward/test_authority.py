"""The CA of the HTTP proxy: what it may sign, as OpenSSL and Python's verifier see it (Go's is asked by a real client)."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from crproxy.forward.authority import AUTHORITY_SECONDS, Authority, BadAuthority
from tests.parts.requirements import need

NOW = 1_800_000_000.0
DAY = 86400.0
NAMES = frozenset({"ghcr.io", "registry-1.docker.io"})
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new(NAMES, NOW)


def forged(authority: Authority, names: list[x509.GeneralName]) -> x509.Certificate:
    """What whoever has stolen the key may sign."""
    leaf = authority.sign("ghcr.io", KEY.public_key(), NOW, DAY)
    builder = x509.CertificateBuilder().subject_name(leaf.subject).issuer_name(leaf.issuer).public_key(leaf.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(leaf.not_valid_before_utc).not_valid_after(leaf.not_valid_after_utc)
    for extension in leaf.extensions:
        if not isinstance(extension.value, x509.SubjectAlternativeName):
            builder = builder.add_extension(extension.value, extension.critical)
    from cryptography.hazmat.primitives.hashes import SHA256

    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(authority.key, SHA256())


def openssl(directory: Path, authority: Authority, leaf: x509.Certificate, *purpose: str) -> tuple[bool, str]:
    """Tell whether ``openssl verify`` takes it, and what it says."""
    (directory / "ca.pem").write_bytes(authority.shown())
    (directory / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    command = [need("openssl"), "verify", "-x509_strict", "-attime", str(int(NOW)), "-CAfile", "ca.pem"]
    done = subprocess.run(
        [*command, *purpose, "leaf.pem"], cwd=directory, capture_output=True, text=True, check=False, timeout=20
    )
    return done.returncode == 0, done.stdout + done.stderr


def test_openssl_takes_what_it_signs(authority: Authority, tmp_path: Path) -> None:
    for name in NAMES:
        leaf = authority.sign(name, KEY.public_key(), NOW, DAY)
        taken, said = openssl(tmp_path, authority, leaf, "-purpose", "sslserver", "-verify_hostname", name)
        assert taken, said


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("example.com"),
        x509.DNSName("quay.io"),
        x509.DNSName("docker.io"),
        x509.DNSName("notghcr.io"),
        x509.DNSName("*.io"),
        x509.IPAddress(__import__("ipaddress").ip_address("192.0.2.1")),
        x509.IPAddress(__import__("ipaddress").ip_address("2001:db8::1")),
    ],
    ids=str,
)
def test_openssl_refuses_what_is_outside_its_constraints(
    authority: Authority, tmp_path: Path, name: x509.GeneralName
) -> None:
    for names in ([name], [x509.DNSName("ghcr.io"), name]):
        taken, said = openssl(tmp_path, authority, forged(authority, names))
        assert not taken
        assert "permitted subtree violation" in said or "excluded subtree violation" in said


def test_openssl_takes_it_for_nothing_but_servers(authority: Authority, tmp_path: Path) -> None:
    leaf = authority.sign("ghcr.io", KEY.public_key(), NOW, DAY)
    for purpose in ("sslclient", "smimesign", "codesign"):
        taken, _ = openssl(tmp_path, authority, leaf, "-purpose", purpose)
        assert not taken


def test_no_ca_can_stand_below_it(authority: Authority, tmp_path: Path) -> None:
    assert authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def handshake(authority: Authority, leaf: x509.Certificate, name: str, directory: Path) -> None:
    """Have Python's verifier look at it, in memory. Raises ssl.SSLCertVerificationError."""
    file = directory / "shown.pem"
    private = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + leaf.public_bytes(Encoding.PEM))
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    server.load_cert_chain(file)
    client.load_verify_locations(cadata=authority.shown().decode("ascii"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def now_authority() -> tuple[Authority, float]:
    import time

    now = time.time()
    return Authority.new(NAMES, now), now


def test_pythons_verifier_agrees(tmp_path: Path) -> None:
    authority, now = now_authority()
    handshake(authority, authority.sign("ghcr.io", KEY.public_key(), now, DAY), "ghcr.io", tmp_path)


def test_pythons_verifier_refuses_another_name(tmp_path: Path) -> None:
    import datetime

    authority, now = now_authority()
    leaf = authority.sign("ghcr.io", KEY.public_key(), now, DAY)
    from cryptography.hazmat.primitives.hashes import SHA256

    builder = x509.CertificateBuilder().subject_name(leaf.subject).issuer_name(leaf.issuer).public_key(leaf.public_key())
    moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    builder = builder.serial_number(7).not_valid_before(moment).not_valid_after(moment + datetime.timedelta(days=1))
    for extension in leaf.extensions:
        if not isinstance(extension.value, x509.SubjectAlternativeName):
            builder = builder.add_extension(extension.value, extension.critical)
    names = x509.SubjectAlternativeName([x509.DNSName("example.com")])
    other = builder.add_extension(names, critical=False).sign(authority.key, SHA256())
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(authority, other, "example.com", tmp_path)


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
