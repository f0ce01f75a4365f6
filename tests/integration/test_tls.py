"""TLS as clients meet it: what the daemon agrees to and what it refuses, and certificates that change.

Its names are cr.test and the built-in aliases. A wildcard's file is for all of them, quay.cr.test has one of its own,
and ghcr.cr.test one with an RSA key.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests.parts.certificates import Authority, Certificate
from tests.parts.daemon import Daemon, configuration
from tests.parts.s_client import SClient, ciphers
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

DOMAIN = "cr.test"
OWN, RSA = f"quay.{DOMAIN}", f"ghcr.{DOMAIN}"

PROTOCOL_VERSION = 70
HANDSHAKE_FAILURE = 40
UNRECOGNIZED_NAME = 112
NO_APPLICATION_PROTOCOL = 120

# After it the daemon hangs up.
CLOSING = f"GET /v2/ HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n"

# RFC 9325, 4.2, as far as OpenSSL has them.
GOOD_CIPHERS = re.compile(r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)")


@dataclass(frozen=True, slots=True)
class Secure:
    """A daemon that speaks TLS, and whom its clients trust."""

    daemon: Daemon
    authority: Authority
    files: Path
    client: SClient

    def place(self, name: str, certificate: Certificate) -> None:
        """Put NAME.pem where the daemon looks, as operators' tools do: whole, by a rename."""
        self.place_text(name, certificate.key.read_bytes() + certificate.chain.read_bytes())

    def place_text(self, name: str, text: bytes) -> None:
        written = self.files / f"{name}.new"
        written.write_bytes(text)
        written.replace(self.files / f"{name}.pem")

    @contextlib.contextmanager
    def connected(self, name: str) -> Iterator[ssl.SSLSocket]:
        """A connection to ``name``, whose certificate was accepted."""
        context = ssl.create_default_context(cafile=str(self.authority.file))
        with (
            socket.create_connection(("127.0.0.1", self.daemon.tls_port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=name) as encrypted,
        ):
            yield encrypted

    def serial(self, name: str) -> str:
        """The serial number of the certificate that is shown for ``name``."""
        with self.connected(name) as connection:
            return serial(connection)


def serial(connection: ssl.SSLSocket) -> str:
    found = connection.getpeercert()
    assert found
    return f"{int(str(found['serialNumber']), 16):X}"


def serial_of(certificate: Certificate) -> str:
    return f"{x509.load_pem_x509_certificate(certificate.chain.read_bytes()).serial_number:X}"


def status(connection: ssl.SSLSocket, name: str) -> int:
    """Ask on a connection that stands."""
    connection.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    with HTTPResponse(connection) as response:
        response.begin()
        response.read()
        return response.status


@contextlib.contextmanager
def running(directory: Path, certificate: Certificate, authority: Authority) -> Iterator[Secure]:
    with Daemon(directory, configuration({}, domain=DOMAIN), certificate=certificate) as daemon:
        client = SClient(directory, daemon.tls_port, authority.file)
        yield Secure(daemon, authority, directory / "certs", client)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Secure]:
    wildcard = authority.issue(f"*.{DOMAIN}", DOMAIN)
    with running(tmp_path_factory.mktemp("daemon"), wildcard, authority) as secure:
        secure.place(OWN, authority.issue(OWN))
        secure.place(RSA, authority.issue(RSA, rsa=True))
        for name in (OWN, RSA):
            secure.daemon.wait_for_log(rf"{re.escape(name)}\.pem is used")
        yield secure


@pytest.fixture
def fresh(tmp_path: Path, authority: Authority) -> Iterator[Secure]:
    """One whose files the test may change."""
    with running(tmp_path, authority.issue(f"*.{DOMAIN}", DOMAIN), authority) as secure:
        yield secure


# Versions


@pytest.mark.parametrize(("option", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_versions_that_are_spoken(secure: Secure, option: str, version: str) -> None:
    handshake = secure.client.connect(DOMAIN, option)
    assert (handshake.status, handshake.version) == (0, version), handshake.output


@pytest.mark.parametrize("option", ["-tls1_1", "-tls1"])
def test_versions_that_are_refused(secure: Secure, option: str) -> None:
    handshake = secure.client.connect_with_anything(DOMAIN, option)
    assert (handshake.alert, handshake.cipher) == (PROTOCOL_VERSION, None), handshake.output


def hello_of_ssl3() -> bytes:
    """By hand, because no client speaks it any more: version 3.0, one cipher suite, no extensions."""
    body = b"\3\0" + bytes(32) + b"\0" + b"\0\2\0\x2f" + b"\1\0"
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\0" + len(message).to_bytes(2, "big") + message


def hello_of_ssl2() -> bytes:
    """As clients said it that spoke both (RFC 5246, E.2)."""
    message = b"\1" + b"\3\1" + b"\0\3" + b"\0\0" + b"\0\x10" + b"\0\0\x2f" + bytes(16)
    return (0x8000 | len(message)).to_bytes(2, "big") + message


def said_to(secure: Secure, data: bytes) -> bytes:
    """All that comes back for these bytes until the daemon hangs up."""
    with socket.create_connection(("127.0.0.1", secure.daemon.tls_port), timeout=20) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_ssl3_gets_an_alert_and_no_more(secure: Secure) -> None:
    """Which of the two it is depends on the library's version."""
    level, description = said_to(secure, hello_of_ssl3())[-2:]
    assert (level, description in (PROTOCOL_VERSION, HANDSHAKE_FAILURE)) == (2, True)


def test_ssl2_gets_nothing(secure: Secure) -> None:
    assert said_to(secure, hello_of_ssl2()) == b""


# Ciphers and keys


@pytest.mark.parametrize("name", [DOMAIN, RSA])
def test_only_good_ciphers_are_agreed_to(secure: Secure, name: str) -> None:
    """Each that OpenSSL still knows is offered alone."""
    offered = ciphers()
    assert {"AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES128-SHA", "AECDH-NULL-SHA"} <= set(offered)
    agreed = set()
    for cipher in offered:
        handshake = secure.client.connect(name, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
        if handshake.cipher is None:
            assert handshake.alert == HANDSHAKE_FAILURE, handshake.output
        else:
            agreed.add(handshake.cipher)
    assert {cipher for cipher in agreed if not GOOD_CIPHERS.fullmatch(cipher)} == set()
    kind = "RSA" if name == RSA else "ECDSA"
    assert {f"ECDHE-{kind}-AES128-GCM-SHA256", f"ECDHE-{kind}-CHACHA20-POLY1305"} <= agreed


@pytest.mark.parametrize("cipher", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
def test_ciphers_of_tls_1_3(secure: Secure, cipher: str) -> None:
    assert secure.client.connect(DOMAIN, "-tls1_3", "-ciphersuites", cipher).cipher == cipher


@pytest.mark.parametrize(
    ("version", "groups"),
    [
        # In TLS 1.2 they are those of certificates as well (RFC 8422, 5.1.1), and ours is P-256.
        ("-tls1_2", "P-256"),
        ("-tls1_2", "X25519:P-256"),
        ("-tls1_3", "P-256"),
        ("-tls1_3", "X25519"),
        ("-tls1_3", "P-384"),
    ],
)
def test_groups(secure: Secure, version: str, groups: str) -> None:
    handshake = secure.client.connect(DOMAIN, version, "-groups", groups)
    assert handshake.status == 0, handshake.output


def test_sha_1_signs_nothing(secure: Secure) -> None:
    handshake = secure.client.connect_with_anything(DOMAIN, "-tls1_2", "-sigalgs", "ECDSA+SHA1:RSA+SHA1")
    assert handshake.cipher is None
    assert handshake.alert is not None


def test_nothing_is_compressed(secure: Secure) -> None:
    handshake = secure.client.connect(DOMAIN, "-tls1_2", "-comp")
    assert "Compression: NONE" in handshake.output


def test_nobody_renegotiates(secure: Secure) -> None:
    """A line with an R lets s_client try. RFC 5746's extension is there all the same, which clients insist on."""
    handshake = secure.client.connect(DOMAIN, "-tls1_2", say="R\n")
    assert "Secure Renegotiation IS supported" in handshake.output
    assert "RENEGOTIATING\n" in handshake.output
    assert "no renegotiation" in handshake.output
    assert handshake.status != 0


# Sessions


def test_sessions_of_tls_1_2_are_resumed(secure: Secure) -> None:
    """-reconnect comes five times more."""
    assert secure.client.connect(DOMAIN, "-tls1_2", "-reconnect").reused == 5


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_ticket_is_good_for_the_next_connection(secure: Secure, tmp_path: Path, version: str) -> None:
    file = str(tmp_path / "session")
    first = secure.client.connect(DOMAIN, version, "-ign_eof", "-sess_out", file, say=CLOSING)
    assert (first.status, first.reused) == (0, 0), first.output
    assert "HTTP/1.1 200 OK" in first.output
    second = secure.client.connect(DOMAIN, version, "-ign_eof", "-sess_in", file, say=CLOSING)
    assert (second.status, second.reused) == (0, 1), second.output
    assert "HTTP/1.1 200 OK" in second.output


def test_no_early_data_is_taken(secure: Secure) -> None:
    """It could be sent again by anybody (RFC 8446, 8)."""
    assert "Max Early Data: 0" in secure.client.connect(DOMAIN, "-tls1_3", "-ign_eof", say=CLOSING).output


# Names and protocols


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("name", ["example.com", "nope.cr.test", "a.quay.cr.test", "cr.test.example.com"])
def test_a_name_that_is_nobodys_gets_the_alert_for_that(secure: Secure, version: str, name: str) -> None:
    assert secure.client.connect(name, version).alert == UNRECOGNIZED_NAME


def test_who_names_nobody_is_shown_the_domains(secure: Secure) -> None:
    handshake = secure.client.connect(None, "-verify_hostname", DOMAIN)
    assert handshake.status == 0, handshake.output


@pytest.mark.parametrize(("offered", "chosen"), [("http/1.1", "http/1.1"), ("h2,http/1.1", "http/1.1")])
def test_http_1_1_is_chosen(secure: Secure, offered: str, chosen: str) -> None:
    assert secure.client.connect(DOMAIN, "-alpn", offered).protocol == chosen


def test_http_2_alone_is_refused(secure: Secure) -> None:
    assert secure.client.connect(DOMAIN, "-alpn", "h2").alert == NO_APPLICATION_PROTOCOL


def test_a_validation_that_nobody_asked_for_is_refused(secure: Secure) -> None:
    assert secure.client.connect(DOMAIN, "-alpn", "acme-tls/1").alert == UNRECOGNIZED_NAME


# Certificates


@pytest.mark.parametrize("label", ["docker", "k8s-gcr", "mcr"])
def test_a_wildcards_file_serves_the_aliases(secure: Secure, label: str) -> None:
    assert secure.serial(f"{label}.{DOMAIN}") == secure.serial(DOMAIN)
    with secure.connected(f"{label}.{DOMAIN}") as connection:
        assert status(connection, f"{label}.{DOMAIN}") == 200


@pytest.mark.parametrize("name", [OWN, RSA])
def test_a_file_for_exactly_one_name_wins(secure: Secure, name: str) -> None:
    assert secure.serial(name) != secure.serial(DOMAIN)


def test_a_replaced_certificate_is_used_while_connections_go_on(fresh: Secure) -> None:
    with fresh.connected(DOMAIN) as connection:
        assert status(connection, DOMAIN) == 200
        new = fresh.authority.issue(f"*.{DOMAIN}", DOMAIN)
        fresh.place("proxy", new)
        fresh.daemon.wait_for_log(r"(?s)proxy\.pem is used.*proxy\.pem is used")
        assert fresh.serial(DOMAIN) == fresh.serial(f"docker.{DOMAIN}") == serial_of(new) != serial(connection)
        assert status(connection, DOMAIN) == 200


@pytest.mark.parametrize("broken", [b"", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"])
def test_a_broken_replacement_changes_nothing_and_is_told_of(fresh: Secure, broken: bytes) -> None:
    before = fresh.serial(DOMAIN)
    fresh.place_text("proxy", broken)
    fresh.daemon.wait_for_log(r"proxy\.pem cannot be used, so what it had before is used on: ")
    assert fresh.serial(DOMAIN) == before
    fresh.daemon.assert_calm()


def test_a_key_that_belongs_to_another_certificate_is_a_broken_one(fresh: Secure) -> None:
    before = fresh.serial(DOMAIN)
    one, other = fresh.authority.issue(f"*.{DOMAIN}", DOMAIN), fresh.authority.issue(OWN)
    fresh.place_text("proxy", other.key.read_bytes() + one.chain.read_bytes())
    fresh.daemon.wait_for_log(r"proxy\.pem cannot be used.*the key belongs to none of the certificates")
    assert fresh.serial(DOMAIN) == before


def test_a_file_comes_and_goes(fresh: Secure) -> None:
    covered = fresh.serial(OWN)
    own = fresh.authority.issue(OWN)
    fresh.place(OWN, own)
    fresh.daemon.wait_for_log(rf"{re.escape(OWN)}\.pem is used")
    assert fresh.serial(OWN) == serial_of(own) != covered
    (fresh.files / f"{OWN}.pem").unlink()
    fresh.daemon.wait_for_log(rf"{re.escape(OWN)}\.pem is gone")
    assert fresh.serial(OWN) == covered


# Many


def test_of_ten_thousand_connections_nothing_is_left(secure: Secure) -> None:
    """Some say nothing, some begin a handshake and leave, some ask and leave without a goodbye."""
    many_connections(secure, 500)
    settled, before = secure.daemon.descriptors(), secure.daemon.rss_bytes()
    many_connections(secure, 9500)
    await_descriptors(secure, settled)
    assert secure.daemon.rss_bytes() - before < 8 * 1024 * 1024


def many_connections(secure: Secure, number: int) -> None:
    address = ("127.0.0.1", secure.daemon.tls_port)
    context = ssl.create_default_context(cafile=str(secure.authority.file))
    hello = first_words(context)
    session = None
    for each in range(number):
        with socket.create_connection(address, timeout=20) as plain:
            if each % 3 == 1:
                plain.sendall(hello[: each % len(hello)])
            elif each % 9 == 2:
                plain.sendall(hello)
            elif each % 9 == 5:
                with context.wrap_socket(plain, server_hostname=DOMAIN, session=session) as encrypted:
                    assert status(encrypted, DOMAIN) == 200
                    session = encrypted.session


def first_words(context: ssl.SSLContext) -> bytes:
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=DOMAIN).do_handshake()
    return outgoing.read()


def await_descriptors(secure: Secure, number: int) -> None:
    """Wait until so many are open; fails where more stay open."""
    until(lambda: secure.daemon.descriptors() <= number, found=secure.daemon.descriptors)
