"""Whether images are signed: where signatures are looked for, what is remembered, what is said where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock, deferLater

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Reference, Repository, Tag, referrers_tag
from crproxy.policy.freshness import Lifetimes
from crproxy.pullthrough import PullThrough
from crproxy.pullthrough.artifacts import Artifacts
from crproxy.pullthrough.signatures import Signatures
from crproxy.pullthrough.verdicts import MemoryVerdicts
from crproxy.signatures import Identity, Trust, keyless
from crproxy.signatures.keyless import TrustedRootUnavailable
from crproxy.signatures.simple_signing import MOST_SIGNATURES
from crproxy.store.entries import View
from crproxy.store.store import Store
from crproxy.upstream.client import Listed, Manifest, Streamed
from tests.memory import ended, failure_of, not_yet
from tests.pullthrough.conftest import OTHER, REPOSITORY
from tests.pullthrough.conftest import Client as HandClient
from tests.signing import (
    MANIFEST,
    PROVENANCE,
    Signer,
    bundle_manifest,
    payload,
    referrers_list,
    signature_manifest,
)
from tests.sigstore_instance import ISSUER, SUBJECT, Instance
from tests.stores import pull_through, threads

IMAGE, CHILD = Digest.of(b"image"), Digest.of(b"child")
ALICE, MALLORY = Signer(), Signer()
TRUST = Trust.parse([ALICE.public])
INSTANCE = Instance()
PEOPLE = Trust.parse([], [Identity(SUBJECT, ISSUER)])
SIG = referrers_tag(IMAGE, ".sig")
VIEW = View(REPOSITORY)
NAME = f"quay.io/org/name@{IMAGE}"
# Turns of the clock in which all that is asked is answered.
_MOMENTS = 1000
AWAY = RegistryError(ErrorCode.UNAVAILABLE, "quay.io is not available", retry_after=10)


class Soon:
    """A body that comes in the next moment (Body)."""

    def __init__(self, content: bytes, clock: Clock) -> None:
        self._content = content
        self._clock = clock

    @property
    def length(self) -> int:
        return len(self._content)

    def join(self, consumer: IConsumer) -> Deferred[None]:
        return deferLater(self._clock, 0, consumer.write, self._content)

    def abandon(self) -> None:
        """Nothing is held."""


class Client(HandClient):
    """An upstream that answers at once, and with 404 where there is nothing.

    ``referrers_api`` is how it answers for lists: 200, or what such a registry says that has none.
    """

    referrers_api = 200

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.contents: dict[Digest, bytes] = {}
        self.lists: dict[Digest, bytes] = {}
        self.broken: dict[object, RegistryError] = {}

    async def manifest(self, repository: Repository, reference: Reference) -> Manifest:
        await self._hear("manifest", repository, reference)
        if reference in self.broken:
            raise self.broken[reference]
        if reference not in self.manifests:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, f"{reference} is not there")
        content = self.manifests[reference]
        return Manifest(Digest.of(content), MANIFEST, content)

    async def head_manifest(self, repository: Repository, reference: Reference) -> Mapping[str, str] | None:
        found = await self.manifest(repository, reference)
        size = str(len(found.content))
        return {"content-length": size, "content-type": MANIFEST, "docker-content-digest": str(found.digest)}

    async def blob(self, repository: Repository, digest: Digest, start: int = 0, stop: int | None = None) -> Streamed:
        await self._hear("blob", repository, digest)
        if digest in self.broken:
            raise self.broken[digest]
        if digest not in self.contents:
            raise RegistryError(ErrorCode.BLOB_UNKNOWN, f"{digest} is not there")
        content = self.contents[digest]
        return Streamed(200, {"content-length": str(len(content))}, Soon(content, self.clock))

    async def referrers(self, repository: Repository, digest: Digest, query: Mapping[str, str]) -> Listed:
        await self._hear("referrers", repository, digest)
        if digest in self.broken:
            raise self.broken[digest]
        if self.referrers_api != 200:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, "no such thing", status=self.referrers_api)
        return Listed({}, self.lists.get(digest, referrers_list()))

    # What people push

    def keeps(self, content: bytes) -> bytes:
        self.contents[Digest.of(content)] = content
        return content

    def signs(self, *signers: Signer, image: Digest = IMAGE) -> None:
        """Signatures in the former format."""
        content = self.keeps(payload(image))
        signed = signature_manifest(*((content, signer.signature(content)) for signer in signers))
        self.tagged(referrers_tag(image, ".sig"), signed)

    def attaches(self, *bundles: bytes) -> None:
        """Bundles that refer to the image."""
        manifests = [bundle_manifest(self.keeps(bundle)) for bundle in bundles]
        for manifest in manifests:
            self.manifests[Digest.of(manifest)] = manifest
        if self.referrers_api == 200:
            self.lists[IMAGE] = referrers_list(*manifests)
        else:
            self.tagged(referrers_tag(IMAGE), referrers_list(*manifests))


@pytest.fixture
def client(clock: Clock) -> Client:
    return Client(clock)


def made(pullthrough: PullThrough, clock: Clock) -> Checked:
    artifacts = Artifacts(pullthrough._manifests._manifests, pullthrough._blobs, pullthrough._lists)
    signatures = Signatures(artifacts, threads, MemoryVerdicts(), Lifetimes(), clock.seconds)
    return Checked(signatures, clock)


@pytest.fixture
def signatures(pullthrough: PullThrough, clock: Clock) -> Checked:
    return made(pullthrough, clock)


@pytest.fixture
def restarted(client: Client, store: Store, clock: Clock) -> Checked:
    """Another one, which remembers nothing, over the same store."""
    return made(pull_through(client, store, clock), clock)


@dataclass
class Checked:
    """What checks, with time that goes on until what is asked has been answered."""

    signatures: Signatures
    clock: Clock

    def begin(self, digest: Digest = IMAGE, trust: Trust = TRUST, view: View = VIEW) -> Deferred[None]:
        waiting = Deferred.fromCoroutine(self.signatures.check(view, digest, trust))
        for _ in range(_MOMENTS):
            if waiting.called:
                break
            self.clock.advance(0)
        return waiting

    def is_signed(self, digest: Digest = IMAGE, trust: Trust = TRUST, view: View = VIEW) -> None:
        ended(self.begin(digest, trust, view))

    def is_refused(self, digest: Digest = IMAGE, trust: Trust = TRUST, view: View = VIEW) -> RegistryError:
        error = failure_of(self.begin(digest, trust, view), RegistryError)
        assert isinstance(error, RegistryError)
        return error

    def children(self, index: bytes, digest: Digest | None = None) -> None:
        self.signatures.children(VIEW, digest or Digest.of(index), index, TRUST)


# Where they are


def test_a_signature_in_a_manifest_of_its_own(client: Client, signatures: Checked) -> None:
    client.signs(ALICE)
    signatures.is_signed()
    assert client.questions == ["manifest", "blob"]


@pytest.mark.parametrize("api", [200, 404, 400, 405, 406])
def test_a_bundle_that_refers_to_it(client: Client, signatures: Checked, api: int) -> None:
    client.referrers_api = api
    client.attaches(ALICE.bundle(IMAGE))
    signatures.is_signed()


def test_a_good_one_among_others(client: Client, signatures: Checked) -> None:
    client.signs(MALLORY)
    client.attaches(
        b"nonsense",
        MALLORY.bundle(IMAGE),
        ALICE.bundle(IMAGE, PROVENANCE),
        ALICE.bundle(CHILD),
        ALICE.bundle(IMAGE),
    )
    signatures.is_signed()


def test_several_in_one_manifest(client: Client, signatures: Checked) -> None:
    client.signs(MALLORY, ALICE, Signer())
    signatures.is_signed()


def test_the_proxy_itself_is_not_sent_elsewhere(client: Client, signatures: Checked) -> None:
    client.elsewhere = "https://cdn.example.org/x"
    client.signs(ALICE)
    signatures.is_signed()


def test_a_certificate(client: Client, signatures: Checked) -> None:
    client.attaches(INSTANCE.bundle(IMAGE))
    signatures.is_signed(trust=Trust.parse([], PEOPLE.identities, INSTANCE.trusted_root))


# What is said


def test_there_is_none(signatures: Checked) -> None:
    error = signatures.is_refused()
    assert (error.code, error.status) == (ErrorCode.DENIED, 403)
    assert error.message == (
        f"{NAME} is not signed as this proxy asks, by 1 key: there is no signature of it. Whoever makes the image "
        "signs it with cosign sign in the same repository; whoever runs this proxy says whose signatures count"
    )


def test_all_that_is_wrong_is_said(client: Client, signatures: Checked) -> None:
    client.signs(MALLORY)
    client.attaches(ALICE.bundle(IMAGE, PROVENANCE), MALLORY.bundle(IMAGE))
    assert (
        "by 1 key: a signature of it is by another key; what is stated about it is "
        "'https://slsa.dev/provenance/v1', which is no signature. Whoever"
    ) in signatures.is_refused().message


@pytest.mark.parametrize("kept", [b"", b"x" * 100, payload(CHILD)])
def test_a_payload_of_other_bytes(client: Client, signatures: Checked, kept: bytes) -> None:
    client.signs(ALICE)
    client.contents[Digest.of(payload(IMAGE))] = kept
    assert signatures.is_refused().status in (502, 503)


def test_a_payload_that_is_too_large(client: Client, signatures: Checked) -> None:
    content = client.keeps(payload(IMAGE) + b" " * 2_000_000)
    manifest = json.loads(signature_manifest((content, ALICE.signature(content))))
    manifest["layers"][0]["size"] = 100
    client.tagged(SIG, json.dumps(manifest).encode())
    error = signatures.is_refused()
    assert (error.status, "too long" in error.message or "bytes where" in error.message) == (502, True)


def test_what_is_named_and_not_there(client: Client, signatures: Checked) -> None:
    client.signs(ALICE)
    client.attaches(ALICE.bundle(IMAGE))
    client.contents.clear()
    assert signatures.is_refused().code is ErrorCode.DENIED


def test_there_is_an_end_to_what_is_looked_at(client: Client, signatures: Checked) -> None:
    client.attaches(*(MALLORY.bundle(IMAGE) for _ in range(100)))
    signatures.is_refused()
    assert client.questions.count("blob") == MOST_SIGNATURES


@dataclass
class PublicRoot:
    """The public instance's trusted root, which is INSTANCE's where it can be fetched."""

    is_there: bool = True
    fetched: int = 0

    def prepare(self, now: float) -> None:
        self.fetched += 1
        if not self.is_there:
            raise TrustedRootUnavailable("the public instance's trusted root cannot be fetched")


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> PublicRoot:
    root = PublicRoot()
    monkeypatch.setattr(keyless, "prepare", root.prepare)
    monkeypatch.setattr(keyless, "_public", lambda day: keyless._of(INSTANCE.trusted_root))
    return root


def test_the_public_instances_trusted_root(client: Client, signatures: Checked, root: PublicRoot) -> None:
    client.attaches(INSTANCE.bundle(IMAGE))
    signatures.is_signed(trust=PEOPLE)
    assert root.fetched == 1


def test_keys_need_no_root(client: Client, signatures: Checked, root: PublicRoot) -> None:
    client.attaches(ALICE.bundle(IMAGE))
    signatures.is_signed()
    assert root.fetched == 0


def test_the_trusted_root_is_not_to_be_had(client: Client, signatures: Checked, root: PublicRoot) -> None:
    """It is not fetched again for each who asks, and what is signed by a key needs none."""
    root.is_there = False
    client.attaches(INSTANCE.bundle(IMAGE))
    for view in (VIEW, View(REPOSITORY, caller="Basic x")):
        error = signatures.is_refused(trust=PEOPLE, view=view)
        assert (error.code, error.retry_after) == (ErrorCode.UNAVAILABLE, 60)
        assert error.message.startswith(f"the signature of {NAME} cannot be verified now: the public instance's")
    assert root.fetched == 1
    root.is_there = True
    signatures.clock.advance(61)
    signatures.is_signed(trust=PEOPLE)


# Upstream is in trouble


def test_upstream_is_away(client: Client, signatures: Checked) -> None:
    client.error = AWAY
    error = signatures.is_refused()
    assert (error.code, error.status, error.retry_after) == (ErrorCode.UNAVAILABLE, 503, 10)
    assert error.message == (f"quay.io is not available; without that it cannot be known whether {NAME} is signed")
    client.error = None
    client.signs(ALICE)
    signatures.is_signed()


@pytest.mark.parametrize("place", [SIG, IMAGE, Digest.of(payload(IMAGE))])
def test_what_cannot_be_had_may_be_a_signature(client: Client, signatures: Checked, place: Reference) -> None:
    client.signs(MALLORY)
    client.broken[place] = AWAY
    assert signatures.is_refused().status == 503
    assert signatures.is_refused().status == 503


def test_another_signature_is_enough(client: Client, signatures: Checked) -> None:
    client.broken[SIG] = AWAY
    client.attaches(ALICE.bundle(IMAGE))
    signatures.is_signed()


def test_upstream_does_not_let_us_in(client: Client, signatures: Checked) -> None:
    client.error = RegistryError(ErrorCode.DENIED, "quay.io answered 401")
    error = signatures.is_refused()
    assert (error.status, error.message[:20]) == (403, "quay.io answered 401")


@pytest.mark.parametrize("api", [200, 404])
def test_what_is_kept_is_enough(
    client: Client, signatures: Checked, restarted: Checked, clock: Clock, api: int
) -> None:
    client.referrers_api = api
    client.attaches(ALICE.bundle(IMAGE))
    signatures.is_signed()
    clock.advance(3600)
    client.error = AWAY
    restarted.is_signed()


# What is remembered


def test_that_it_is_signed_is_remembered_for_good(client: Client, signatures: Checked, clock: Clock) -> None:
    client.signs(ALICE)
    signatures.is_signed()
    asked = len(client.asked)
    clock.advance(1_000_000)
    client.manifests.clear()
    signatures.is_signed()
    assert len(client.asked) == asked


def test_that_it_is_not_is_remembered_for_a_while(client: Client, signatures: Checked, clock: Clock) -> None:
    first = signatures.is_refused()
    client.signs(ALICE)
    asked = len(client.asked)
    clock.advance(59)
    again = signatures.is_refused()
    assert (again.code, again.message, len(client.asked)) == (first.code, first.message, asked)
    clock.advance(2)
    signatures.is_signed()


def test_each_repository_and_each_trust_by_itself(client: Client, signatures: Checked) -> None:
    client.signs(ALICE)
    signatures.is_signed()
    client.manifests.clear()
    signatures.is_refused(view=View(OTHER))
    signatures.is_refused(digest=CHILD)
    signatures.is_refused(trust=Trust.parse([MALLORY.public]))
    signatures.is_signed()


def test_what_one_client_is_told_is_not_for_others(client: Client, signatures: Checked) -> None:
    signatures.is_refused(view=View(REPOSITORY, caller="Basic x"))
    client.signs(ALICE)
    signatures.is_signed()


def test_many_ask_once(client: Client, signatures: Checked) -> None:
    client.signs(ALICE)
    client.waiting = Deferred()
    waiting = [signatures.begin() for _ in range(5)]
    for each in waiting:
        not_yet(each)
    client.waiting.callback(None)
    client.clock.advance(0)
    for each in waiting:
        ended(each)
    assert client.questions == ["manifest", "blob"]


# Clients that verify as well


@pytest.mark.parametrize("form", ["former", "bundle"])
def test_a_signature_that_holds_may_be_had_itself(client: Client, signatures: Checked, form: str) -> None:
    if form == "former":
        client.signs(MALLORY, ALICE)
        carrier = Digest.of(client.manifests[SIG])
    else:
        client.attaches(ALICE.bundle(IMAGE))
        carrier = next(digest for digest in client.manifests if isinstance(digest, Digest))
    signatures.is_refused(carrier)
    signatures.is_signed()
    signatures.is_signed(carrier)


def test_an_image_that_has_a_signature_for_a_layer_is_still_an_image(client: Client, signatures: Checked) -> None:
    content = client.keeps(payload(IMAGE))
    manifest = json.loads(signature_manifest((content, ALICE.signature(content))))
    manifest["layers"].append({"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 9, "digest": str(CHILD)})
    carrier = client.tagged(SIG, json.dumps(manifest).encode())
    signatures.is_signed()
    signatures.is_refused(carrier)


# Indexes


def index_of(*children: Digest) -> bytes:
    listed = [{"mediaType": MANIFEST, "digest": str(child), "size": 9} for child in children]
    return json.dumps({"schemaVersion": 2, "manifests": listed}).encode()


def test_children_are_signed_with_their_index(client: Client, signatures: Checked) -> None:
    inner = index_of(CHILD)
    outer = index_of(Digest.of(inner))
    client.signs(ALICE, image=Digest.of(outer))
    signatures.is_signed(Digest.of(outer))
    for content in (outer, inner):
        signatures.children(content)
    asked = len(client.asked)
    signatures.is_signed(Digest.of(inner))
    signatures.is_signed(CHILD)
    assert len(client.asked) == asked
    signatures.is_refused(CHILD, view=View(OTHER))
    signatures.is_refused(CHILD, Trust.parse([MALLORY.public]))


def test_of_an_index_that_is_not_signed_no_child_is(signatures: Checked) -> None:
    index = index_of(CHILD)
    signatures.children(index)
    signatures.is_refused(CHILD)


def test_what_is_another_index_says_nothing(client: Client, signatures: Checked) -> None:
    client.signs(ALICE)
    signatures.is_signed()
    signatures.children(index_of(CHILD), IMAGE)
    signatures.is_refused(CHILD)


def test_an_image_has_no_children(client: Client, signatures: Checked) -> None:
    image = json.dumps({"layers": [{"mediaType": "x/y", "digest": str(CHILD), "size": 1}]}).encode()
    client.signs(ALICE, image=Digest.of(image))
    signatures.is_signed(Digest.of(image))
    signatures.children(image)
    signatures.is_refused(CHILD)
    assert Tag(f"sha256-{CHILD.hex}.sig") == referrers_tag(CHILD, ".sig")
