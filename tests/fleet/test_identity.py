from __future__ import annotations

import contextlib
import datetime
import ssl
import time
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from crproxy.fleet.identity import NODE_NAME, NotSealed, Secret, SecretTooShort, is_a_node
from crproxy.transports.contexts import show

SECRET, OTHER = Secret(b"a" * 32), Secret(b"b" * 32)
NOW = time.time()
YEAR = 365 * 24 * 3600.0
OURS = SECRET.identity(NOW)

SECRETS = st.binary(min_size=32, max_size=80)


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str = NODE_NAME) -> tuple[str | None, bytes]:
    """Shake hands in memory and say something; return the version, and what the server heard."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(to_client, to_server, server_hostname=name)
    answers = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (asks, answers, asks, answers):
        _go_on(end.do_handshake)
    asks.write(b"hello")
    return asks.version(), answers.read()


def _go_on(work: Callable[[], object]) -> None:
    with contextlib.suppress(ssl.SSLWantReadError):
        work()


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_secret_that_could_be_guessed_is_none(length: int) -> None:
    with pytest.raises(SecretTooShort, match=f"{length} bytes, and 32 is the least"):
        Secret(b"x" * length)


@given(SECRETS, SECRETS, st.text(), st.text())
def test_a_key_is_the_same_on_each_node_and_another_for_each_purpose(
    secret: bytes, other: bytes, purpose: str, another: str
) -> None:
    key = Secret(secret).derive(purpose)
    assert len(key) == 32
    assert key == Secret(secret).derive(purpose)
    assert (key == Secret(secret).derive(another)) is (purpose == another)
    assert (key == Secret(other).derive(purpose)) is (secret == other)


def test_the_keys_stay_those_that_they_were() -> None:
    """A node of the next version must be one of this fleet."""
    assert SECRET.derive("x").hex() == "4d723694e3259733958a20c27cfcb108ebf98e22cb74908a7ffac36bde3f605f"


@given(st.text(), st.binary(max_size=1000))
def test_what_is_sealed_is_opened(purpose: str, content: bytes) -> None:
    sealed = SECRET.seal(purpose, content)
    assert SECRET.open(purpose, sealed) == content
    assert SECRET.seal(purpose, content) != sealed


@given(st.binary(max_size=100), st.data())
def test_nothing_else_is(content: bytes, data: st.DataObject) -> None:
    sealed = SECRET.seal("certificates", content)
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytes([*sealed[:at], sealed[at] ^ data.draw(st.integers(1, 255)), *sealed[at + 1 :]])
    for wrong in (changed, sealed[:at], sealed + b"\0", content):
        with pytest.raises(NotSealed):
            SECRET.open("certificates", wrong)
    with pytest.raises(NotSealed, match="for others"):
        SECRET.open("others", sealed)
    with pytest.raises(NotSealed):
        OTHER.open("certificates", sealed)


def test_nodes_know_each_other_and_speak_the_latest_tls() -> None:
    assert handshake(SECRET.identity(NOW).client, OURS.server) == ("TLSv1.3", b"hello")


def test_the_authority_is_the_same_on_each_node() -> None:
    assert Secret(b"a" * 32).authority() == SECRET.authority()
    assert OTHER.authority() != SECRET.authority()


@pytest.mark.parametrize("wrong_by", [-9 * YEAR, -0.9 * YEAR, 0.9 * YEAR])
def test_a_clock_may_be_wrong(wrong_by: float) -> None:
    other = SECRET.identity(NOW + wrong_by)
    assert handshake(other.client, OURS.server)[1] == b"hello"
    assert handshake(OURS.client, other.server)[1] == b"hello"


def test_a_clock_that_stands_at_the_beginning_of_time_stops_nothing() -> None:
    assert SECRET.identity(0.0).server is not OURS.server


def test_who_has_another_secret_is_no_node() -> None:
    other = OTHER.identity(NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(other.client, OURS.server)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(OURS.client, other.server)
    # Who does not look at ours is looked at.
    other.client.check_hostname = False
    other.client.verify_mode = ssl.CERT_NONE
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(other.client, OURS.server)


def test_who_shows_nothing_is_no_node() -> None:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.load_verify_locations(cadata=SECRET.authority().public_bytes(Encoding.PEM).decode())
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        handshake(anybody, OURS.server)


def test_older_tls_is_not_spoken() -> None:
    old = SECRET.identity(NOW).client
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        handshake(old, OURS.server)


def test_who_is_asked_must_have_the_name() -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(OURS.client, OURS.server, "registry.example.com")


@pytest.mark.parametrize(("name", "is_one"), [(NODE_NAME, True), ("else", False), (None, False)])
def test_a_certificate_is_a_nodes_by_its_name(name: str | None, is_one: bool) -> None:
    assert is_a_node(certificate_for(name)[0]) is is_one


def test_no_secret_is_shown_by_accident() -> None:
    assert "a" * 8 not in repr(SECRET)
    assert "SSLContext" not in repr(OURS)


def certificate_for(name: str | None) -> tuple[x509.Certificate, Ed25519PrivateKey]:
    """One that the CA has signed for another purpose."""
    key, authority = (
        Ed25519PrivateKey.generate(),
        Ed25519PrivateKey.from_private_bytes(SECRET.derive("certificate authority")),
    )
    now = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NODE_NAME)]))
        .issuer_name(SECRET.authority().subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )
    if name is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(authority, None), key


def client_for(name: str | None) -> ssl.SSLContext:
    """A client that shows such a certificate, and believes anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    show_another(context, name)
    return context


def show_another(context: ssl.SSLContext, name: str | None) -> None:
    """Have ``context`` show such a certificate."""
    certificate, key = certificate_for(name)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    show(context, private + certificate.public_bytes(Encoding.PEM))
