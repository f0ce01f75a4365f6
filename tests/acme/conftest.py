"""A network with a CA in it, and a client of it that has an account."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import DeferredSemaphore

from crproxy.acme.client import AcmeClient
from crproxy.acme.jws import AccountKey
from crproxy.config import Timeouts
from crproxy.upstream.agent import treq_client
from tests.acme.fake_ca import ORIGIN, FakeCa, Reply
from tests.memory import Network, ended

TIMEOUTS = Timeouts(connect=10, headers=30, idle=60)
ACCOUNT = Reply({"status": "valid"}, 200, (f"Location: {ORIGIN}/account/1",))


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def ca(network: Network) -> FakeCa:
    ca = FakeCa(network)
    ca.script("/account", ACCOUNT)
    return ca


@pytest.fixture(scope="session")
def key() -> AccountKey:
    return AccountKey(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def newcomer(network: Network, ca: FakeCa, key: AccountKey) -> AcmeClient:
    """A client that has not asked for anything yet."""
    return AcmeClient(
        treq_client(network.agent()),
        f"{ORIGIN}/dir",
        key,
        network.clock,
        timeouts=TIMEOUTS,
        gate=DeferredSemaphore(2),
        patience=100,
    )


@pytest.fixture
def client(network: Network, newcomer: AcmeClient) -> AcmeClient:
    """A client that has an account."""
    ended(network.run(newcomer.new_account(terms_agreed=True)))
    return newcomer
