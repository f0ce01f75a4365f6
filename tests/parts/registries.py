"""The public registries as they are documented to behave: each a scripted fake, of as many hosts as the real one has.

What they have in common: one repository with one image, of a manifest and a layer. It knows nothing of the daemon.
"""

from __future__ import annotations

import base64
import itertools
import json
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from .answers import Answer, Cut, Filler, Framing, Request, Script
from .fake_upstream import FakeUpstream
from .images import OCI_MANIFEST, sha256
from .shapes import error, manifest, ranged, redirect, tag_pages

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAKES", "PublicRegistry", "docker_hub"]

LAYER = 256 * 1024
_seeds = itertools.count(1000)


@dataclass
class PublicRegistry:
    """A fake of one registry; leaving the ``with`` block ends all its hosts.

    Arguments:
        name: what stands in front of an image's name.
        repository: where the image is.
        username, password: to whom alone it gives the image; None gives it to anybody.
    """

    name: str
    repository: str = "team/app"
    username: str | None = None
    password: str | None = None
    layer: Filler = field(default_factory=lambda: Filler(LAYER, seed=next(_seeds)))
    hosts: dict[str, FakeUpstream] = field(default_factory=dict)
    tokens: int = 0
    _running: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self.host("registry")
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def manifest(self) -> bytes:
        """The image's manifest."""
        layer = {"mediaType": "x", "digest": self.layer.digest, "size": self.layer.size}
        return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [layer]}).encode()

    @property
    def registry(self) -> FakeUpstream:
        """The host that answers /v2/."""
        return self.hosts["registry"]

    def host(self, role: str) -> FakeUpstream:
        """Return its host of this role, which is started where it is not there."""
        if role not in self.hosts:
            self.hosts[role] = self._running.enter_context(FakeUpstream())
        return self.hosts[role]

    def path(self, kind: str, reference: str) -> str:
        """Return a path at upstream."""
        return f"/v2/{self.repository}/{kind}/{reference}"

    def paths(self) -> tuple[str, str, str]:
        """Return where the manifest is by tag and by digest, and the layer."""
        by = [self.path("manifests", reference) for reference in ("v1", sha256(self.manifest))]
        return by[0], by[1], self.path("blobs", self.layer.digest)

    # What a host is made to do

    def serve(self, guard: Callable[[Script], Script] = lambda script: script, blobs: Script | None = None) -> Self:
        """Serve the image at the registry's own host, each answer behind ``guard``; ``blobs`` in place of the layer."""
        by_tag, by_digest, layer = self.paths()
        for path in (by_tag, by_digest):
            self.registry.script(path, guard(manifest(self.manifest, OCI_MANIFEST)))
        self.registry.script(layer, guard(blobs or ranged(self.layer)))
        self.registry.script(f"/v2/{self.repository}/tags/list", guard(tag_pages(self.repository, ["v1"])))
        return self

    def bearer(
        self, role: str, path: str, service: str, token: dict[str, object], extra: str = ""
    ) -> Callable[[Script], Script]:
        """Return a guard that asks for a token, which is to be had from the host of this role.

        Arguments:
            token: what the token service answers; its text is a token that this guard lets in.
            extra: further challenges, in the same field.
        """
        tokens = self.host(role)
        tokens.script(path, self._token_service(token))
        secret = str(token.get("token") or token.get("access_token"))

        def guard(script: Script) -> Script:
            def answer(request: Request) -> Answer:
                if request.values("Authorization") == [f"Bearer {secret}"]:
                    return script if isinstance(script, Answer) else script(request)
                scope = f"repository:{self.repository}:pull"
                value = f'{extra}Bearer realm="{tokens.url}{path}",service="{service}",scope="{scope}"'
                return error(401, "UNAUTHORIZED", "authentication required", ("WWW-Authenticate", value))

            return answer

        return guard

    def _token_service(self, token: dict[str, object]) -> Script:
        def answer(request: Request) -> Answer:
            self.tokens += 1
            if self.username is not None and request.values("Authorization") != [self.basic]:
                return error(401, "UNAUTHORIZED", "incorrect username or password")
            return Answer(headers=(("Content-Type", "application/json"),), body=json.dumps(token).encode())

        return answer

    @property
    def basic(self) -> str:
        """The Authorization of its user (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def signed(self, role: str, *faults: Cut) -> Script:
        """Return a redirect to the layer at another host, by a URL that is good for one GET and its HEADs.

        Arguments:
            faults: what goes wrong with each GET of the layer in turn; then nothing does.
        """
        cdn, signatures = self.host(role), itertools.count(1)
        used: set[str] = set()
        whole = ranged(self.layer, *faults)

        def serve(request: Request) -> Answer:
            (signature,) = request.query.get("signature", [""])
            if not signature or signature in used:
                return Answer(403, (("Content-Type", "application/xml"),), b"<Error><Code>AccessDenied</Code></Error>")
            if request.method == "GET":
                used.add(signature)
            return whole(request) if callable(whole) else whole

        cdn.script("/layer", serve)
        return lambda _: redirect(f"{cdn.url}/layer?signature={next(signatures)}&X-Amz-Expires=600")


def docker_hub(remaining: int = 100) -> PublicRegistry:
    """Docker Hub: a token service and a CDN of other hosts, and a quota that GETs of manifests use up.

    Arguments:
        remaining: how many are left.
    """
    hub = PublicRegistry("docker.io", "library/app").__enter__()
    guard = hub.bearer(
        "auth", "/token", "registry.docker.io", {"token": "hub", "access_token": "hub", "expires_in": 300}
    )
    hub.serve(guard, hub.signed("production.cloudflare"))
    left = [remaining]

    def counted(request: Request) -> Answer:
        if request.method == "GET":
            if left[0] == 0:
                return error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.", ("Retry-After", "60"))
            left[0] -= 1
        answer = manifest(hub.manifest, OCI_MANIFEST)
        limits = (("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", f"{left[0]};w=21600"))
        return replace(answer, headers=(*answer.headers, *limits, ("docker-ratelimit-source", "192.0.2.1")))

    for path in hub.paths()[:2]:
        hub.registry.script(path, guard(counted))
    missing = guard(error(401, "UNAUTHORIZED", "authentication required"))
    hub.registry.script("/v2/library/missing/manifests/v1", missing)
    return hub


def ghcr() -> PublicRegistry:
    """GitHub: tokens without a lifetime; here with a second challenge in the same field."""
    registry = PublicRegistry("ghcr.io").__enter__()
    return registry.serve(
        registry.bearer("registry", "/token", "ghcr.io", {"token": "djE6"}, 'Negotiate, Basic realm="x", ')
    )


def quay() -> PublicRegistry:
    """Quay: tokens from its own host, blobs from a CDN by URLs that soon end."""
    registry = PublicRegistry("quay.io").__enter__()
    guard = registry.bearer("registry", "/v2/auth", "quay.io", {"token": "quay", "expires_in": 3600})
    return registry.serve(guard, registry.signed("cdn"))


def gcr() -> PublicRegistry:
    """Google: the token is called access_token alone."""
    registry = PublicRegistry("gcr.io").__enter__()
    return registry.serve(
        registry.bearer("registry", "/v2/token", "gcr.io", {"access_token": "gcr", "expires_in": 3600})
    )


def nvcr() -> PublicRegistry:
    """NVIDIA: an image for a user with a strange name, and a password that is stranger here."""
    registry = PublicRegistry("nvcr.io", username="$oauthtoken", password='a:b@c"d\\ü €%2F ').__enter__()
    return registry.serve(registry.bearer("registry", "/proxy_auth", "nvcr.io/proxy_auth", {"token": "nv"}))


def k8s() -> PublicRegistry:
    """Kubernetes: no tokens; manifests are redirected to a regional registry that wants one, blobs to a store."""
    registry = PublicRegistry("registry.k8s.io").__enter__()
    regional = registry.host("regional")
    guard = registry.bearer("regional", "/v2/token", "regional", {"token": "anonymous", "expires_in": 3600})
    by_tag, by_digest, layer = registry.paths()
    for path in (by_tag, by_digest):
        regional.script(path, guard(manifest(registry.manifest, OCI_MANIFEST)))
        registry.registry.script(path, redirect(f"{regional.url}{path}"))
    registry.registry.script(layer, registry.signed("s3"))
    registry.registry.script(f"/v2/{registry.repository}/tags/list", tag_pages(registry.repository, ["v1"]))
    return registry


def mcr() -> PublicRegistry:
    """Microsoft: no tokens, blobs at another host."""
    registry = PublicRegistry("mcr.microsoft.com").__enter__()
    return registry.serve(blobs=registry.signed("blob.core"))


def ecr() -> PublicRegistry:
    """Amazon: tokens from a path that ends in a slash."""
    registry = PublicRegistry("public.ecr.aws").__enter__()
    return registry.serve(
        registry.bearer("registry", "/token/", "public.ecr.aws", {"token": "ecr", "expires_in": 43200})
    )


def headless() -> PublicRegistry:
    """One that knows no HEAD."""
    registry = PublicRegistry("headless.example.org").__enter__().serve()
    for path in registry.paths():
        registry.registry.script(path, Answer(405, (("Allow", "GET"),)), method="HEAD")
    return registry


def taciturn() -> PublicRegistry:
    """One whose answers to HEAD say neither digest nor length."""
    registry = PublicRegistry("taciturn.example.org").__enter__().serve()
    for path in registry.paths():
        registry.registry.script(
            path, Answer(headers=(("Content-Type", OCI_MANIFEST),), framing=Framing.CHUNKED), method="HEAD"
        )
    return registry


FAKES = {
    "docker.io": docker_hub,
    "ghcr.io": ghcr,
    "quay.io": quay,
    "gcr.io": gcr,
    "nvcr.io": nvcr,
    "registry.k8s.io": k8s,
    "mcr.microsoft.com": mcr,
    "public.ecr.aws": ecr,
    "headless": headless,
    "taciturn": taciturn,
}
"""What makes each of them."""
