"""Whoever has stolen the key of the HTTP proxy's CA has the names of registries, and nothing else of who trusts it.

So say the verifiers of Go, OpenSSL, Python and GnuTLS. Each is shown what that key may sign, in so many ways.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crproxy.forward.authority import Authority
from tests.parts.requirements import need

# These verifiers know no other time than now.
NOW = time.time()
DAY = 86400.0
NAMES = frozenset({"ghcr.io", "registry-1.docker.io"})
KEY = ec.generate_private_key(ec.SECP256R1())
# Of a CA below ours, which whoever has stolen a key may well make.
LOWER = ec.generate_private_key(ec.SECP256R1())
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class Shown:
    """What a verifier is shown.

    Arguments:
        chain: certificates, the leaf first, whose key is KEY.
        name: of the server that is asked for; empty where it is a client who shows it.
    """

    chain: Sequence[x509.Certificate]
    name: str

    @property
    def pem(self) -> bytes:
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.chain)


# Returns why it is not taken; empty where it is.
Verifier = Callable[[Authority, Shown, Path], str]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new(NAMES, NOW)


def signed(
    authority: Authority,
    names: Sequence[x509.GeneralName] = (),
    *,
    usage: Sequence[x509.ObjectIdentifier] = (SERVER,),
    common_name: str = "ghcr.io",
    key: ec.EllipticCurvePrivateKey = KEY,
    is_ca: bool = False,
    by: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None,
) -> x509.Certificate:
    """Sign by hand: whoever has the key need not ask us.

    Arguments:
        usage: what it is for; with none, everything.
        by: the subject and the key of another CA.
    """
    issuer, signer = by or (authority.certificate.subject, authority.key)
    moment = datetime.datetime.fromtimestamp(int(NOW), datetime.UTC)
    builder = x509.CertificateBuilder().issuer_name(issuer).public_key(key.public_key())
    builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(moment - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(moment + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    good = authority.sign("ghcr.io", KEY.public_key(), NOW, DAY)
    unused = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    unused |= dict.fromkeys(("crl_sign", "encipher_only", "decipher_only"), False)
    builder = builder.add_extension(
        x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, **unused), critical=True
    )
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if by is None:
        identifier = good.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    else:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(identifier, critical=False)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, SHA256())


# The verifiers


def openssl(authority: Authority, shown: Shown, directory: Path, *options: str) -> str:
    write(authority, shown, directory)
    purpose = ["-purpose", "sslserver", "-verify_hostname", shown.name] if shown.name else ["-purpose", "sslclient"]
    command = [need("openssl"), "verify", *options, "-CAfile", "ca.pem", "-untrusted", "chain.pem", *purpose]
    return said([*command, "chain.pem"], directory)


def strict_openssl(authority: Authority, shown: Shown, directory: Path) -> str:
    return openssl(authority, shown, directory, "-x509_strict")


def go(authority: Authority, shown: Shown, directory: Path) -> str:
    write(authority, shown, directory)
    return said([need("go-verifier"), "ca.pem", "chain.pem", shown.name], directory)


def gnutls(authority: Authority, shown: Shown, directory: Path) -> str:
    write(authority, shown, directory)
    purpose = SERVER if shown.name else CLIENT
    name = ["--verify-hostname", shown.name] if shown.name else []
    command = [need("certtool"), "--verify", "--load-ca-certificate", "ca.pem", "--infile", "chain.pem"]
    return said([*command, "--verify-purpose", purpose.dotted_string, *name], directory)


def python(authority: Authority, shown: Shown, directory: Path) -> str:
    """Shake hands in memory."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    good = Shown([authority.sign("ghcr.io", KEY.public_key(), NOW, DAY)], "ghcr.io")
    for context, chain in ((server, shown if shown.name else good), (client, shown)):
        file = directory / "shown.pem"
        file.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain.pem)
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=authority.shown().decode("ascii"))
    if not shown.name:
        server.verify_mode = ssl.CERT_REQUIRED
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=shown.name or "ghcr.io")
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (here, there) * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return ""


def write(authority: Authority, shown: Shown, directory: Path) -> None:
    (directory / "ca.pem").write_bytes(authority.shown())
    (directory / "chain.pem").write_bytes(shown.pem)


def said(command: Sequence[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=20)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(params=[openssl, strict_openssl, go, python, gnutls], ids=lambda verifier: verifier.__name__)
def verifier(request: pytest.FixtureRequest) -> Verifier:
    found: Verifier = request.param
    return found


# What they say


@pytest.mark.parametrize("name", sorted(NAMES))
def test_what_it_signs_is_taken(authority: Authority, verifier: Verifier, tmp_path: Path, name: str) -> None:
    assert verifier(authority, Shown([authority.sign(name, KEY.public_key(), NOW, DAY)], name), tmp_path) == ""


def test_what_is_signed_by_hand_for_its_names_is_taken(
    authority: Authority, verifier: Verifier, tmp_path: Path
) -> None:
    """So it is not for how it was made that the rest is refused."""
    assert verifier(authority, Shown([signed(authority, [x509.DNSName("ghcr.io")])], "ghcr.io"), tmp_path) == ""


OUTSIDE = {
    "example.com": x509.DNSName("example.com"),
    "quay.io": x509.DNSName("quay.io"),
    "docker.io": x509.DNSName("docker.io"),
    "notghcr.io": x509.DNSName("notghcr.io"),
    "ghcr.io.example.com": x509.DNSName("ghcr.io.example.com"),
    "any.io": x509.DNSName("*.io"),
    "any.docker.io": x509.DNSName("*.docker.io"),
    "192.0.2.1": x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
    "127.0.0.1": x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    "2001:db8::1": x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
}


@pytest.mark.security("S32")
@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("beside", [(), (x509.DNSName("ghcr.io"),)], ids=["alone", "beside"])
def test_another_name_is_refused(
    authority: Authority,
    verifier: Verifier,
    tmp_path: Path,
    name: str,
    beside: tuple[x509.GeneralName, ...],
) -> None:
    """An address, too, and whether or not it is this name that is asked for."""
    leaf = signed(authority, [*beside, OUTSIDE[name]], common_name=name)
    for asked in (name, "ghcr.io") if beside else (name,):
        assert verifier(authority, Shown([leaf], asked), tmp_path) != ""


@pytest.mark.security("S32")
@pytest.mark.parametrize("common_name", ["example.com", "quay.io"])
def test_another_name_is_refused_that_stands_in_the_subject_alone(
    authority: Authority, verifier: Verifier, tmp_path: Path, common_name: str
) -> None:
    leaf = signed(authority, common_name=common_name)
    assert verifier(authority, Shown([leaf], common_name), tmp_path) != ""


@pytest.mark.security("S32")
@pytest.mark.parametrize("name", ["ghcr.io", "example.com"])
def test_a_ca_below_it_is_refused(authority: Authority, verifier: Verifier, tmp_path: Path, name: str) -> None:
    below = signed(authority, common_name="Below", key=LOWER, is_ca=True)
    leaf = signed(authority, [x509.DNSName(name)], by=(below.subject, LOWER))
    assert verifier(authority, Shown([leaf, below], name), tmp_path) != ""


@pytest.mark.security("S32")
def test_a_leaf_signs_nothing(authority: Authority, verifier: Verifier, tmp_path: Path) -> None:
    between = signed(authority, [x509.DNSName("ghcr.io")], common_name="Leaf", key=LOWER)
    leaf = signed(authority, [x509.DNSName("ghcr.io")], by=(between.subject, LOWER))
    assert verifier(authority, Shown([leaf, between], "ghcr.io"), tmp_path) != ""


@pytest.mark.security("S32")
@pytest.mark.parametrize("usage", [(CLIENT,), (SERVER, CLIENT), ()], ids=["client", "both", "anything"])
def test_a_client_is_refused(
    authority: Authority,
    verifier: Verifier,
    tmp_path: Path,
    usage: Sequence[x509.ObjectIdentifier],
) -> None:
    leaf = signed(authority, [x509.DNSName("ghcr.io")], usage=usage)
    refused = verifier(authority, Shown([leaf], ""), tmp_path)
    # GnuTLS does not look at what a CA is for (RFC 5280, 4.2.1.12 has that for end entities); its names count.
    assert (refused == "") == (verifier is gnutls)


@pytest.mark.security("S32")
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_client_of_another_name_is_refused(
    authority: Authority, verifier: Verifier, tmp_path: Path, name: str
) -> None:
    leaf = signed(authority, [OUTSIDE[name]], usage=(CLIENT,))
    assert verifier(authority, Shown([leaf], ""), tmp_path) != ""


@pytest.mark.security("S32")
def test_what_is_for_clients_is_no_server(authority: Authority, verifier: Verifier, tmp_path: Path) -> None:
    leaf = signed(authority, [x509.DNSName("ghcr.io")], usage=(CLIENT,))
    assert verifier(authority, Shown([leaf], "ghcr.io"), tmp_path) != ""
