"""An upstream that says what the test wants, behind a cache in a directory of the test's own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Reference, Registry, Repository
from crproxy.pullthrough import Asked, PullThrough, Reply
from crproxy.store.store import Store
from crproxy.upstream.client import Listed, Manifest, Streamed
from crproxy.upstream.quotas import Quotas
from tests.memory import ended
from tests.sources import HandParallel, HandSource
from tests.stores import HandRules, make_store, pull_through
from tests.upstream.conftest import Consumer

REPOSITORY = Registry("quay.io").repository("org/name")
OTHER = Registry("quay.io").repository("org/other")
TYPE = "application/vnd.oci.image.manifest.v1+json"
PATH = "/v2/quay.io/org/name/tags/list"


class Client:
    """An upstream that says what the test wants, and remembers what it was asked.

    Manifests are answered at once; blobs by hand (``blobs``). Of clients' own credentials it knows those that are
    ``welcome``; where there are any, nobody else gets anything.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.caller: str | None = None
        self.welcome: set[str] = set()
        self.quotas = Quotas(clock.seconds)
        self.asked: list[tuple[Any, ...]] = []
        self.manifests: dict[Reference, bytes] = {}
        self.blobs: dict[Digest, HandSource] = {}
        self.knows_head = True
        self.denied: set[Repository] = set()
        self.header: dict[str, str] = {}
        self.list = b'{"tags": null, "manifests": []}'
        self.error: RegistryError | None = None
        self.waiting: Deferred[None] | None = None
        # Clients are sent there for blobs; None where it sends them itself, if asked where they are.
        self.elsewhere: str | None = None
        self.redirects = False
        # What it does not have is not there; otherwise a test has forgotten it.
        self.missing = False

    async def _hear(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.welcome and self.caller not in self.welcome:
            raise RegistryError(ErrorCode.DENIED, f"{self.caller} is not welcome")
        if self.waiting is not None:
            # One Deferred cannot serve two who wait.
            waiter: Deferred[None] = Deferred()
            self.waiting.addCallback(lambda _: waiter.callback(None))
            await waiter
        if self.error is not None:
            raise self.error

    def on_behalf_of(self, caller: str | None) -> Client:
        if caller is None:
            return self
        other = copy.copy(self)
        other.caller = caller
        return other

    def parallel(self, registry: Registry) -> HandParallel:
        return HandParallel(1)

    @property
    def questions(self) -> list[str]:
        return [asked[0] for asked in self.asked]

    def holds(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self.blobs[digest] = HandSource(content, self.clock)
        return digest

    def tagged(self, tag: Reference, content: bytes) -> Digest:
        digest = Digest.of(content)
        self.manifests[tag] = self.manifests[digest] = content
        return digest

    def _held(self, reference: Reference) -> bytes:
        if self.missing and reference not in self.manifests:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, f"{reference} is not there")
        return self.manifests[reference]

    async def manifest(self, repository: Repository, reference: Reference) -> Manifest:
        await self._hear("manifest", repository, reference)
        content = self._held(reference)
        return Manifest(Digest.of(content), TYPE, content)

    async def head_manifest(self, repository: Repository, reference: Reference) -> Mapping[str, str] | None:
        await self._hear("head_manifest", repository, reference)
        if not self.knows_head:
            return None
        if self.header:
            return self.header
        content = self._held(reference)
        return {
            "content-length": str(len(content)),
            "content-type": TYPE,
            "docker-content-digest": str(Digest.of(content)),
            "set-cookie": "x",
        }

    async def head_blob(self, repository: Repository, digest: Digest) -> Mapping[str, str]:
        await self._hear("head_blob", repository, digest)
        return self.header or {"content-length": str(len(self.blobs[digest].content))}

    async def blob(self, repository: Repository, digest: Digest, start: int = 0, stop: int | None = None) -> Streamed:
        await self._hear("blob", repository, digest, start, stop)
        return await self.blobs[digest].open(start, stop)

    def redirects_blobs(self, registry: Registry) -> bool:
        return self.redirects or self.elsewhere is not None

    async def blob_location(self, repository: Repository, digest: Digest) -> str | None:
        await self._hear("blob_location", repository, digest)
        return self.elsewhere

    def blame(self, repository: Repository, digest: Digest) -> None:
        self.asked.append(("blame", repository, digest))

    async def tags(self, repository: Repository, query: Mapping[str, str]) -> Listed:
        await self._hear("tags", repository, dict(query))
        return Listed(self.header, self.list)

    async def referrers(self, repository: Repository, digest: Digest, query: Mapping[str, str]) -> Listed:
        await self._hear("referrers", repository, digest, dict(query))
        return Listed(self.header, self.list)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_000_000)
    return clock


@pytest.fixture
def client(clock: Clock) -> Client:
    return Client(clock)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return make_store(tmp_path, clock)


@pytest.fixture
def rules() -> HandRules:
    """Who may have what."""
    return HandRules()


@pytest.fixture
def pullthrough(client: Client, store: Store, clock: Clock, rules: HandRules) -> PullThrough:
    return pull_through(client, store, clock, rules)


Ask = Callable[..., Deferred[Reply]]


@pytest.fixture
def ask(pullthrough: PullThrough) -> Ask:
    """Asks for something."""

    def asks(
        request: Any, method: str = "GET", repository: Repository = REPOSITORY, path: str = PATH, **asked: Any
    ) -> Deferred[Reply]:
        return Deferred.fromCoroutine(pullthrough.answer(repository, request, Asked(method, path, **asked)))

    return asks


def body_of(reply: Reply) -> bytes:
    """All of a body that is here."""
    consumer = Consumer()
    ended(reply.body.join(consumer))
    assert reply.body.length in (None, len(consumer.content))
    return consumer.content
