"""The ACME client against a real CA that rejects half of all nonces."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import crypto
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.client import Agent, HTTPConnectionPool

from crproxy.acme.client import AcmeClient
from crproxy.acme.documents import AuthorizationStatus, OrderStatus
from crproxy.acme.errors import CaUnreachable, Refused
from crproxy.acme.jws import AccountKey, ExternalAccount
from crproxy.policy.proxies import DIRECT
from crproxy.upstream.agent import treq_client
from crproxy.upstream.connecting import Endpoints, Reach
from tests.parts.answers import Answer
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.pebble import Pebble
from tests.reactor import on_the_reactor, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from crproxy.acme.documents import Order

pytestmark = pytest.mark.integration

NAME = "cr.example.com"
WELL_KNOWN = "/.well-known/acme-challenge/"
EXTERNAL_ID = "kid-1"
EXTERNAL_KEY = "c2VjcmV0" * 8
DAY = 24 * 3600


@pytest.fixture(scope="module")
def responder() -> Iterator[FakeUpstream]:
    """What the CA finds at every name's port 80."""
    with FakeUpstream() as responder:
        yield responder


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory, responder: FakeUpstream) -> Iterator[Pebble]:
    directory = tmp_path_factory.mktemp("pebble")
    _, port = responder.address
    with Pebble(directory, http_port=port, blocked=["blocked.example"], lifetime=6 * DAY) as pebble:
        yield pebble


class Connect(Protocol):
    """Makes a client of a CA, with a key of its own unless one is given."""

    def __call__(self, pebble: Pebble, key: AccountKey | None = None) -> AcmeClient: ...


def new_key() -> AccountKey:
    return AccountKey(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as pools:

        def connect(pebble: Pebble, key: AccountKey | None = None) -> AcmeClient:
            host = frozenset({"127.0.0.1"})
            reach = Reach(True, host, frozenset(), None, host, pebble.ca_bundle.decode(), DIRECT, named=True)
            pool = HTTPConnectionPool(reactor)
            pools.callback(lambda: wait_for(pool.closeCachedConnections()))
            agent = Agent.usingEndpointFactory(reactor, Endpoints(reactor, 10, reach), pool)
            clock: Any = reactor
            return AcmeClient(treq_client(agent), pebble.directory_url, key or new_key(), clock, patience=60)

        yield connect


def csr_for(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    request = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


async def validate(client: AcmeClient, responder: FakeUpstream, order: Order) -> None:
    """Show the CA that the order's names are ours."""
    for url in order.authorizations:
        authorization = await client.authorization(url)
        if authorization.status is AuthorizationStatus.VALID:
            continue
        challenge = authorization.challenge("http-01")
        assert challenge is not None
        shown = client.key.key_authorization(challenge.token)
        responder.script(f"{WELL_KNOWN}{challenge.token}", Answer(body=shown.encode()))
        await client.answer(challenge)
        assert (await client.validated(authorization)).status is AuthorizationStatus.VALID


async def issue(
    client: AcmeClient, responder: FakeUpstream, name: str, replaces: x509.Certificate | None = None
) -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
    """Return a certificate with its chain, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    order = await client.new_order(name, replaces)
    await validate(client, responder, order)
    order = await client.finalize(order, csr_for(name, key))
    assert order.status is OrderStatus.VALID
    return x509.load_pem_x509_certificates((await client.certificate(order)).encode()), key


def assert_trusted(chain: list[x509.Certificate], root: bytes) -> None:
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(x509.load_pem_x509_certificate(root)))
    leaf, *between = (crypto.X509.from_cryptography(certificate) for certificate in chain)
    crypto.X509StoreContext(store, leaf, between).verify_certificate()


@on_the_reactor
async def test_a_certificate_is_issued(pebble: Pebble, responder: FakeUpstream, connect: Connect) -> None:
    client = connect(pebble)
    await client.new_account(["mailto:ops@example.com"], terms_agreed=True)
    chain, key = await issue(client, responder, NAME)
    assert_trusted(chain, pebble.root())
    leaf = chain[0]
    assert leaf.public_key() == key.public_key()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() == pytest.approx(6 * DAY, abs=60)


@on_the_reactor
async def test_rejected_nonces_are_not_noticed(pebble: Pebble, connect: Connect) -> None:
    client = connect(pebble)
    before = len(pebble.log)
    for _ in range(20):
        await client.new_account(terms_agreed=True)
    # At least one of 20 is rejected, but for one run in a million.
    pebble.wait_for_log("(?s)(?:POST /sign-me-up .*?){21}", after=before)


@on_the_reactor
async def test_a_certificate_is_renewed(pebble: Pebble, responder: FakeUpstream, connect: Connect) -> None:
    client = connect(pebble)
    await client.new_account(terms_agreed=True)
    (first, *_), _ = await issue(client, responder, NAME)
    (second, *_), _ = await issue(client, responder, NAME, first)
    assert first.serial_number != second.serial_number


@on_the_reactor
async def test_renewal_information_is_the_cas(pebble: Pebble, responder: FakeUpstream, connect: Connect) -> None:
    """Debian 12's pebble has none, Debian 13's has."""
    client = connect(pebble)
    await client.new_account(terms_agreed=True)
    chain, _ = await issue(client, responder, NAME)
    told = await client.renewal_info(chain[0])
    if (await client.directory()).renewal_info is None:
        assert told is None
    else:
        assert told is not None
        assert chain[0].not_valid_before_utc < told.start < told.end <= chain[0].not_valid_after_utc


@on_the_reactor
async def test_the_same_key_is_the_same_account(pebble: Pebble, connect: Connect) -> None:
    key = new_key()
    assert await connect(pebble, key).existing_account() is None
    account = await connect(pebble, key).new_account(terms_agreed=True)
    assert await connect(pebble, key).new_account(terms_agreed=True) == account
    assert await connect(pebble, key).existing_account() == account
    assert (await connect(pebble, key).new_order(NAME)).names == (NAME,)


@on_the_reactor
async def test_terms_that_are_not_agreed_to(pebble: Pebble, connect: Connect) -> None:
    with pytest.raises(Refused, match="terms of service"):
        await connect(pebble).new_account(terms_agreed=False)


@on_the_reactor
async def test_a_name_that_the_ca_does_not_issue_for(pebble: Pebble, responder: FakeUpstream, connect: Connect) -> None:
    client = connect(pebble)
    await client.new_account(terms_agreed=True)
    with pytest.raises(Refused, match=r"a certificate for a\.blocked\.example: .*rejectedIdentifier") as caught:
        await client.new_order("a.blocked.example")
    assert caught.value.problem.kind == "rejectedIdentifier"
    assert (await issue(client, responder, NAME))[0]


@on_the_reactor
async def test_a_challenge_that_is_answered_wrongly(pebble: Pebble, responder: FakeUpstream, connect: Connect) -> None:
    client = connect(pebble)
    await client.new_account(terms_agreed=True)
    order = await client.new_order(NAME)
    authorization = await client.authorization(order.authorizations[0])
    challenge = authorization.challenge("http-01")
    assert challenge is not None
    responder.script(f"{WELL_KNOWN}{challenge.token}", Answer(body=b"something else"))
    await client.answer(challenge)
    with pytest.raises(Refused, match=rf"could not validate {NAME}: .*\(unauthorized\)"):
        await client.validated(authorization)
    with pytest.raises(Refused, match=f"could not issue a certificate for {NAME}"):
        await client.finalize(order, csr_for(NAME, ec.generate_private_key(ec.SECP256R1())))


@on_the_reactor
async def test_a_request_for_another_name(pebble: Pebble, responder: FakeUpstream, connect: Connect) -> None:
    client = connect(pebble)
    await client.new_account(terms_agreed=True)
    order = await client.new_order(NAME)
    await validate(client, responder, order)
    with pytest.raises(Refused, match=f"refuses a certificate for {NAME}"):
        await client.finalize(order, csr_for("other.example.com", ec.generate_private_key(ec.SECP256R1())))


@on_the_reactor
async def test_many_names_at_once(pebble: Pebble, responder: FakeUpstream, connect: Connect) -> None:
    client = connect(pebble)
    await client.new_account(terms_agreed=True)
    names = [f"{label}.{NAME}" for label in ("docker", "ghcr", "quay", "gcr")]
    issuing = [Deferred.fromCoroutine(issue(client, responder, name)) for name in names]
    root = pebble.root()
    for deferred in issuing:
        assert_trusted((await deferred)[0], root)


@on_the_reactor
async def test_a_name_that_was_validated_before(tmp_path: Path, responder: FakeUpstream, connect: Connect) -> None:
    with Pebble(tmp_path, http_port=responder.address[1], reused_authorizations=100) as pebble:
        client = connect(pebble)
        await client.new_account(terms_agreed=True)
        await issue(client, responder, NAME)
        order = await client.new_order(NAME)
        (authorization,) = [await client.authorization(url) for url in order.authorizations]
        assert authorization.status is AuthorizationStatus.VALID
        assert (await issue(client, responder, NAME))[0]


@on_the_reactor
async def test_an_external_account(tmp_path: Path, responder: FakeUpstream, connect: Connect) -> None:
    with Pebble(tmp_path, http_port=responder.address[1], external_accounts={EXTERNAL_ID: EXTERNAL_KEY}) as pebble:
        client = connect(pebble)
        with pytest.raises(Refused, match="externalAccountRequired"):
            await client.new_account(terms_agreed=True)
        for wrong in (
            ExternalAccount.parse(EXTERNAL_ID, EXTERNAL_KEY[::-1]),
            ExternalAccount.parse("kid-2", EXTERNAL_KEY),
        ):
            with pytest.raises(Refused, match="refuses a new account"):
                await client.new_account(terms_agreed=True, external=wrong)
        external = ExternalAccount.parse(EXTERNAL_ID, EXTERNAL_KEY)
        account = await client.new_account(terms_agreed=True, external=external)
        assert await connect(pebble, client.key).new_account(terms_agreed=True, external=external) == account
        assert (await issue(client, responder, NAME))[0]


@on_the_reactor
async def test_a_ca_that_is_gone(tmp_path: Path, connect: Connect) -> None:
    with Pebble(tmp_path, rejected_nonces=0) as pebble:
        client = connect(pebble)
        await client.new_account(terms_agreed=True)
        pebble.stop()
        with pytest.raises(CaUnreachable, match=r"127\.0\.0\.1 cannot be asked"):
            await client.new_order(NAME)


@on_the_reactor
async def test_a_ca_that_nobody_vouches_for(tmp_path: Path, pebble: Pebble, connect: Connect) -> None:
    with Pebble(tmp_path) as other:
        other.directory_url = pebble.directory_url
        with pytest.raises(CaUnreachable, match="TLS failed"):
            await connect(other).directory()
