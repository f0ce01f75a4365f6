"""A login in memory: its authenticators, and the upstream that vouches for clients."""

from __future__ import annotations

import base64
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, cast

import bcrypt
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.config import Config, Upstream
from crproxy.config.client_values import Clients
from crproxy.login import AuthRequest, Identity, IssuedToken, Login, Target
from crproxy.login.passwords import Passwords
from crproxy.login.signing import Claims, Signer
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.authorizations import Credentials
from crproxy.policy.routing import Names, route
from crproxy.policy.scopes import Scope
from crproxy.upstream.logins import Logins
from crproxy.upstream.tokens import Token
from tests.memory import ended, failure_of
from tests.stores import threads

KEY = bytes(range(64))
NOW = 1_800_000_000.0
QUAY, GHCR = Registry("quay.io"), Registry("ghcr.io")
BASE, DOCKER, GITHUB = "cr.test", "docker.cr.test", "ghcr.cr.test"
NAMES = Names(BASE, {DOCKER: DOCKER_HUB, "quay.cr.test": QUAY, GITHUB: GHCR})
ALICE, BOB = Credentials("alice", "of alice"), Credentials("bob", "of bob")
USERS = {
    user.username: bcrypt.hashpw(user.password.encode(), bcrypt.gensalt(4)) for user in (ALICE, Credentials("bob", "b"))
}


def basic(credentials: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()


def wanted(host: str, name: str, ns: str | None = None) -> Target:
    """What a client that asks for this name wants."""
    return Target(route(NAMES, host, name, ns).repository, name, ns)


@dataclass
class Vouching:
    """An upstream's login (Logins) that knows who is in ``known``; ``open`` has none. Remembers its questions."""

    clock: Clock
    known: set[tuple[str, str]] = field(default_factory=lambda: {(ALICE.username, ALICE.password)})
    open: bool = False
    lifetime: float = 300.0
    error: RegistryError | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def log_in(self, upstream: Upstream, credentials: Credentials, scope: str) -> Token | None:
        self.asked.append((upstream.registry.name, credentials.username, scope))
        if self.error is not None:
            raise self.error
        if self.open:
            return None
        if (credentials.username, credentials.password) not in self.known:
            raise RegistryError(ErrorCode.UNAUTHORIZED, f"ghcr.io does not know {credentials.username}")
        return Token(f"Bearer of {credentials.username} for {scope}", self.clock.seconds() + self.lifetime)


@dataclass
class Desk:
    """The login, as requests see it; ``config`` may be replaced meanwhile."""

    config: Config
    clock: Clock
    logins: Vouching
    signer: Signer
    login: Login = field(init=False)

    def __post_init__(self) -> None:
        passwords = Passwords(threads, self.clock)
        self.login = Login(lambda: self.config, passwords, cast(Logins, self.logins), self.signer, self.clock)

    def authenticate(self, auth: AuthRequest, found: Target | None = None) -> Identity:
        return ended(Deferred.fromCoroutine(self.login.authenticate(auth, found)))

    def issue_token(self, auth: AuthRequest, credentials: Credentials | None, *names: str) -> IssuedToken:
        return ended(Deferred.fromCoroutine(self.login.issue_token(auth, credentials, tuple(map(Scope, names)))))

    def not_admitted(self, auth: AuthRequest, found: Target | None = None) -> RegistryError:
        return refused(self.login.authenticate(auth, found))

    def not_granted(self, auth: AuthRequest, credentials: Credentials | None, *names: str) -> RegistryError:
        return refused(self.login.issue_token(auth, credentials, tuple(map(Scope, names))))

    def user_of(self, said: str | None, client: str | None = "192.0.2.1") -> str | None:
        return ended(Deferred.fromCoroutine(self.login.user_of(said, client)))

    def not_a_user(self, said: str | None, client: str | None = "192.0.2.1") -> RegistryError:
        return refused(self.login.user_of(said, client))

    def carrying(self, host: str, claims: Claims, lifetime: float = 300) -> AuthRequest:
        """A visit with a token that says this."""
        return at(host, f"Bearer {self.signer.sign(claims, lifetime)}")

    def close(self) -> None:
        """Let there be users of the proxy's own."""
        self.config = replace(self.config, clients=Clients(USERS))

    def reopen(self) -> None:
        self.config = replace(self.config, clients=Clients())


def at(host: str, authorization: str | None = None, client: str = "192.0.2.1") -> AuthRequest:
    return AuthRequest(host, authorization, client, secure=True)


def refused(work: Coroutine[Deferred[Any], Any, object]) -> RegistryError:
    error = failure_of(Deferred.fromCoroutine(work), RegistryError)
    assert isinstance(error, RegistryError)
    return error


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest.fixture
def signer(clock: Clock) -> Signer:
    return Signer(lambda: KEY, clock)


@pytest.fixture
def logins(clock: Clock) -> Vouching:
    return Vouching(clock)


@pytest.fixture
def desk(clock: Clock, signer: Signer, logins: Vouching) -> Desk:
    """Everybody is served; ghcr.cr.test is the alias of an upstream with pass-through."""
    upstreams = {GHCR: replace(Upstream.public(GHCR), passthrough=True)}
    return Desk(Config(NAMES, upstreams=upstreams), clock, logins, signer)
