"""Images that are signed by real cosign, in a real registry, and what this proxy makes of it.

What checks is put together as in the daemon, and runs in the test's own process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry, referrers_tag
from crproxy.policy.freshness import Lifetimes
from crproxy.pullthrough.artifacts import Artifacts
from crproxy.pullthrough.signatures import Signatures
from crproxy.pullthrough.verdicts import MemoryVerdicts
from crproxy.service.core import Core
from crproxy.service.current_configuration import CurrentConfiguration
from crproxy.signatures import Identity, Trust
from tests.configs import loaded
from tests.parts.cosign import Cosign, Pair
from tests.parts.images import OCI_INDEX, OCI_MANIFEST, Image, Index, sha256
from tests.parts.program import Failed
from tests.parts.registry import DockerRegistry
from tests.parts.uploading import push_blob, push_manifest
from tests.reactor import on_the_reactor, wait_for
from tests.signing import Signer, bundle_manifest, referrers_list
from tests.sigstore_instance import ISSUER, SUBJECT, Instance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = pytest.mark.integration

QUAY = Registry("quay.io")
FORMS = pytest.mark.parametrize("form", ["former", "bundle"])
KEYS: dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | None] = {
    "cosign's own": None,
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "RSA": rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    return Cosign(tmp_path_factory.mktemp("cosign"))


@pytest.fixture(scope="module")
def alice(cosign: Cosign) -> Pair:
    return cosign.pair("alice")


@pytest.fixture(scope="module")
def mallory(cosign: Cosign) -> Pair:
    return cosign.pair("mallory")


@dataclass(frozen=True)
class Shelf:
    """A repository of the test's own, and an image in it."""

    authority: str
    name: str
    image: Image | Index

    @property
    def digest(self) -> Digest:
        return Digest.parse(self.image.manifest.digest)

    @property
    def by_digest(self) -> str:
        """The image, as cosign is told."""
        return f"{self.authority}/{self.name}@{self.digest}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}/v2/{self.name}"

    def keep(self, manifest: bytes, reference: str, media_type: str, *blobs: bytes) -> None:
        """Push what somebody has made by hand."""
        for content in blobs:
            push_blob(self.url, content)
        push_manifest(self.url, reference, manifest, media_type)

    def attach(self, *bundles: bytes) -> None:
        """Push bundles that refer to the image, to a registry without a list of referrers."""
        manifests = []
        for bundle in bundles:
            manifest = json.loads(bundle_manifest(bundle, subject=self.image.manifest.descriptor()))
            manifest["config"] = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}
            manifests.append(json.dumps(manifest).encode())
            self.keep(manifests[-1], sha256(manifests[-1]), OCI_MANIFEST, bundle, b"{}")
        self.keep(referrers_list(*manifests), str(referrers_tag(self.digest)), OCI_INDEX)


@pytest.fixture
def shelf(request: pytest.FixtureRequest, registry: DockerRegistry, skopeo: Skopeo, layout: Layout) -> Shelf:
    return pushed(request, registry, skopeo, layout, layout.image())


@pytest.fixture
def shelf_of_index(request: pytest.FixtureRequest, registry: DockerRegistry, skopeo: Skopeo, layout: Layout) -> Shelf:
    return pushed(request, registry, skopeo, layout, layout.index("amd64", "arm64"))


def pushed(
    request: pytest.FixtureRequest, registry: DockerRegistry, skopeo: Skopeo, layout: Layout, image: Image | Index
) -> Shelf:
    name = f"signed/{sha256(request.node.name.encode())[7:27]}"
    skopeo.push(layout.source(image), registry.authority, f"{name}:v1")
    return Shelf(registry.authority, name, image)


class Proxy:
    """What a daemon has for requests, without the daemon.

    Arguments:
        directory: of its data, which others may have after it.
        url: of the registry that is quay.io here.
    """

    def __init__(self, directory: Path, url: str) -> None:
        config = loaded(f'data_dir = "{directory}"\n[upstreams."quay.io"]\nendpoint = "{url}"\nretries = 0\n')
        core = Core.make(CurrentConfiguration(config, lambda: config), reactor)
        self._daemon = MultiService()
        core.start_with(self._daemon)
        self._daemon.startService()
        self._view = core.pullthrough.view
        pullthrough = core.pullthrough
        artifacts = Artifacts(pullthrough._manifests._manifests, pullthrough._blobs, pullthrough._lists)
        self.signatures = Signatures(artifacts, core.cache.threads, MemoryVerdicts(), Lifetimes(), core.now)
        self.artifacts = artifacts

    def stop(self) -> Deferred[object]:
        stopping: Deferred[object] = self._daemon.stopService()
        return stopping

    async def is_signed(self, shelf: Shelf, trust: Trust, digest: Digest | None = None) -> None:
        view = self._view(QUAY.repository(shelf.name))
        await self.signatures.check(view, digest or shelf.digest, trust)

    async def is_refused(self, shelf: Shelf, trust: Trust, digest: Digest | None = None) -> RegistryError:
        with pytest.raises(RegistryError) as raised:
            await self.is_signed(shelf, trust, digest)
        return raised.value

    async def kept(self, shelf: Shelf, suffix: str) -> bytes:
        """Return what has the tag that is made of the image's digest and ``suffix``."""
        return await self.artifacts.manifest(
            self._view(QUAY.repository(shelf.name)), referrers_tag(shelf.digest, suffix)
        )

    async def serve_index(self, shelf: Shelf, trust: Trust) -> None:
        """Do what is done for a client that asks for an index."""
        view = self._view(QUAY.repository(shelf.name))
        content = await self.artifacts.manifest(view, shelf.digest)
        self.signatures.children(view, shelf.digest, content, trust)


@pytest.fixture
def proxy(tmp_path: Path, registry: DockerRegistry) -> Iterator[Proxy]:
    running = Proxy(tmp_path / "data", registry.url)
    yield running
    wait_for(running.stop())


def trust(*pairs: Pair) -> Trust:
    return Trust.parse(pair.public for pair in pairs)


# By keys


@FORMS
@pytest.mark.parametrize("name", KEYS)
@on_the_reactor
async def test_whom_cosign_signed_it_for(
    cosign: Cosign, alice: Pair, shelf: Shelf, proxy: Proxy, form: str, name: str
) -> None:
    key = KEYS[name]
    pem = None if key is None else key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    bob = cosign.pair(f"bob-{form}-{name.replace(' ', '-')}", pem)
    cosign.sign(bob, shelf.by_digest, form)
    await proxy.is_signed(shelf, trust(bob))
    await proxy.is_signed(shelf, trust(alice, bob))
    error = await proxy.is_refused(shelf, trust(alice))
    assert error.code is ErrorCode.DENIED
    assert error.message.startswith(
        f"quay.io/{shelf.name}@{shelf.digest} is not signed as this proxy asks, by 1 key: a signature of it is by "
        "another key"
    )


@on_the_reactor
async def test_nobody_has_signed_it(alice: Pair, shelf: Shelf, proxy: Proxy) -> None:
    error = await proxy.is_refused(shelf, trust(alice))
    assert (error.code, "there is no signature of it" in error.message) == (ErrorCode.DENIED, True)


@FORMS
@on_the_reactor
async def test_one_of_several_signatures_is_enough(
    cosign: Cosign, alice: Pair, mallory: Pair, shelf: Shelf, proxy: Proxy, form: str
) -> None:
    for pair in (mallory, alice, mallory):
        cosign.sign(pair, shelf.by_digest, form)
    await proxy.is_signed(shelf, trust(alice))


@on_the_reactor
async def test_a_statement_about_it_is_no_signature(cosign: Cosign, alice: Pair, shelf: Shelf, proxy: Proxy) -> None:
    cosign.attest(alice, shelf.by_digest, b'{"result": "it has 40 known holes"}', "https://example.org/scan")
    error = await proxy.is_refused(shelf, trust(alice))
    assert "what is stated about it is 'https://example.org/scan', which is no signature" in error.message


@FORMS
@on_the_reactor
async def test_the_signature_of_another_image(
    cosign: Cosign, alice: Pair, shelf: Shelf, shelf_of_index: Shelf, proxy: Proxy, form: str
) -> None:
    """Somebody who may push puts it where that of this image would be."""
    cosign.sign(alice, shelf.by_digest, form)
    suffix = ".sig" if form == "former" else ""
    stolen = await proxy.kept(shelf, suffix)
    # Into the repository of the signature itself, where all that it names is.
    assert isinstance(shelf_of_index.image, Index)
    other = Shelf(shelf.authority, shelf.name, shelf_of_index.image.images[0])
    push_manifest(shelf.url, str(referrers_tag(other.digest, suffix)), stolen, json.loads(stolen)["mediaType"])
    error = await proxy.is_refused(other, trust(alice))
    assert "is one of another image" in error.message


@FORMS
@on_the_reactor
async def test_who_verifies_as_well_may_have_the_signature(
    cosign: Cosign, alice: Pair, shelf: Shelf, proxy: Proxy, form: str
) -> None:
    cosign.sign(alice, shelf.by_digest, form)
    kept = await proxy.kept(shelf, ".sig" if form == "former" else "")
    carrier = Digest.of(kept) if form == "former" else Digest.parse(json.loads(kept)["manifests"][0]["digest"])
    await proxy.is_refused(shelf, trust(alice), carrier)
    await proxy.is_signed(shelf, trust(alice))
    await proxy.is_signed(shelf, trust(alice), carrier)


# Indexes


@FORMS
@on_the_reactor
async def test_images_of_an_index_are_signed_with_it(
    cosign: Cosign, alice: Pair, shelf_of_index: Shelf, proxy: Proxy, form: str
) -> None:
    shelf = shelf_of_index
    assert isinstance(shelf.image, Index)
    children = [Digest.parse(image.manifest.digest) for image in shelf.image.images]
    cosign.sign(alice, shelf.by_digest, form)
    await proxy.is_signed(shelf, trust(alice))
    await proxy.is_refused(shelf, trust(alice), children[0])
    await proxy.serve_index(shelf, trust(alice))
    for child in children:
        await proxy.is_signed(shelf, trust(alice), child)


@FORMS
@on_the_reactor
async def test_each_image_of_an_index_may_be_signed_itself(
    cosign: Cosign, alice: Pair, shelf_of_index: Shelf, proxy: Proxy, form: str
) -> None:
    assert isinstance(shelf_of_index.image, Index)
    cosign.sign(alice, shelf_of_index.by_digest, form, "--recursive")
    for image in shelf_of_index.image.images:
        await proxy.is_signed(shelf_of_index, trust(alice), Digest.parse(image.manifest.digest))


# While the registry is away


@FORMS
@on_the_reactor
async def test_what_was_found_once_is_kept(
    cosign: Cosign,
    alice: Pair,
    skopeo: Skopeo,
    layout: Layout,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    form: str,
) -> None:
    (tmp_path / "registry").mkdir()
    with DockerRegistry(tmp_path / "registry") as registry:
        signed = pushed(request, registry, skopeo, layout, layout.image())
        other = Shelf(registry.authority, signed.name, layout.image())
        skopeo.push(layout.source(other.image), registry.authority, f"{other.name}:v2")
        for shelf in (signed, other):
            cosign.sign(alice, shelf.by_digest, form)
        assert await asked(Proxy(tmp_path / "data", registry.url), signed, trust(alice)) is None
        url = registry.url
    # Another process, which remembers no result.
    assert await asked(Proxy(tmp_path / "data", url), signed, trust(alice)) is None
    error = await asked(Proxy(tmp_path / "data", url), other, trust(alice))
    assert error is not None
    assert (error.code, error.status) == (ErrorCode.UNAVAILABLE, 503)
    assert f"without that it cannot be known whether quay.io/{other.name}@{other.digest} is signed" in error.message


async def asked(proxy: Proxy, shelf: Shelf, trust: Trust) -> RegistryError | None:
    """Ask, and end."""
    try:
        await proxy.is_signed(shelf, trust)
    except RegistryError as error:
        return error
    finally:
        await proxy.stop()
    return None


# By people: cosign believes the same of the same instance


@on_the_reactor
async def test_a_certificate(cosign: Cosign, shelf: Shelf, proxy: Proxy, tmp_path: Path) -> None:
    instance = Instance()
    shelf.attach(instance.bundle(shelf.digest))
    root = tmp_path / "trusted_root.json"
    root.write_text(instance.trusted_root)
    whose = (f"--certificate-identity={SUBJECT}", f"--certificate-oidc-issuer={ISSUER}")
    cosign.verify(shelf.by_digest, "bundle", f"--trusted-root={root}", *whose)
    await proxy.is_signed(shelf, Trust.parse([], [Identity(SUBJECT, ISSUER)], instance.trusted_root))
    somebody = Trust.parse([], [Identity("somebody@example.org", ISSUER)], instance.trusted_root)
    assert f"it is by somebody else, '{SUBJECT}'" in (await proxy.is_refused(shelf, somebody)).message
    with pytest.raises(Failed):
        cosign.verify(shelf.by_digest, "bundle", f"--trusted-root={root}", "--certificate-identity=x", whose[1])


# What unit tests take for signatures


@FORMS
@on_the_reactor
async def test_cosign_takes_ours_for_its_own(
    cosign: Cosign, alice: Pair, shelf: Shelf, proxy: Proxy, tmp_path: Path, form: str
) -> None:
    signer = Signer()
    if form == "bundle":
        shelf.attach(signer.bundle(shelf.digest))
    else:
        manifest, payload = signer.manifest(shelf.digest)
        shelf.keep(manifest, str(referrers_tag(shelf.digest, ".sig")), OCI_MANIFEST, payload, b"{}")
    public = tmp_path / "signer.pub"
    public.write_text(signer.public)
    cosign.verify(shelf.by_digest, form, f"--key={public}", "--insecure-ignore-tlog=true")
    await proxy.is_signed(shelf, Trust.parse([signer.public]))
    with pytest.raises(Failed):
        cosign.verify(shelf.by_digest, form, f"--key={alice.public_file}", "--insecure-ignore-tlog=true")
