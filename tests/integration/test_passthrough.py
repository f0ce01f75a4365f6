"""Clients' own credentials at an upstream: whoever it serves is served, cold and warm, and nobody else ever.

The registry is a real one, its token server gives everybody a token, and what a token is good for it alone decides.
The rows are those of the project's table of threats (S7, S11, S12).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.certificates import Authority
from tests.parts.containerd import Containerd
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine
from tests.parts.node import Node
from tests.parts.operator import Operator
from tests.parts.podman import Podman
from tests.parts.program import Failed
from tests.parts.registry import DockerRegistry, token_auth
from tests.parts.secure_http import SecureConnection
from tests.parts.skopeo import Skopeo
from tests.parts.token_server import TokenServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.images import Image
    from tests.parts.layouts import Layout
    from tests.parts.raw_http import Reply

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

DOMAIN, ALIAS = "cr.test", "ghcr.cr.test"
PROXY = '[proxy]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
PRIVATE, PUBLIC = "team/private", "team/public"
PASSWORDS = {"alice": "of alice", "bob": "of bob"}
ALICE = ("Authorization", "Basic YWxpY2U6b2YgYWxpY2U=")  # alice:of alice
BOB = ("Authorization", "Basic Ym9iOm9mIGJvYg==")  # bob:of bob
REFUSED = r"denied: .*it was asked with your own login there"


@dataclass(frozen=True, slots=True)
class Proxied(Node):
    """This machine, for programs that ask for everything through an HTTP proxy.

    Arguments:
        url: the proxy.
    """

    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Variables for programs there."""
        return {"SSL_CERT_FILE": str(self.authority), "HTTPS_PROXY": self.url}


@dataclass(frozen=True, slots=True)
class Proxy:
    """The daemon, as its clients name it, and what is behind it."""

    daemon: Daemon
    registry: DockerRegistry
    tokens: TokenServer
    root: Path

    @property
    def host(self) -> str:
        return f"{ALIAS}:{self.daemon.tls_port}"

    @property
    def private(self) -> str:
        return f"{self.host}/{PRIVATE}:v1"

    @property
    def public(self) -> str:
        return f"{self.host}/{PUBLIC}:v1"

    def ask(self, path: str, *fields: tuple[str, str], host: str = ALIAS) -> Reply:
        with SecureConnection(self.daemon.tls_port, host, self.root) as connection:
            return connection.get(path, *fields)

    def assert_each_was_served_once(self, image: Image) -> None:
        """Fail unless upstream has given each of the image's blobs, and none twice. It says so afterwards."""
        for blob in image.blobs:
            said = f'"GET /v2/{PRIVATE}/blobs/{blob.digest}'
            self.registry.wait_for_log(said)
            assert self.registry.log.count(said) == 1


@pytest.fixture(scope="module")
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, skopeo: Skopeo, layout: Layout, image: Image) -> Path:
    with DockerRegistry(tmp_path_factory.mktemp("open")) as registry:
        for repository in (PRIVATE, PUBLIC):
            skopeo.push(layout.source(image), registry.authority, f"{repository}:v1")
        return registry.storage


@pytest.fixture
def proxy(tmp_path: Path, storage: Path, authority: Authority) -> Iterator[Proxy]:
    rights = {"": {PUBLIC}, "alice": {PUBLIC, PRIVATE}, "bob": {PUBLIC}}
    with ExitStack() as running:
        tokens = running.enter_context(TokenServer(PASSWORDS, rights=rights))
        directory = tmp_path / "registry"
        directory.mkdir()
        registry = DockerRegistry(directory, auth=token_auth(directory, tokens), storage=storage)
        running.enter_context(registry)
        text = configuration({"ghcr.io": Upstream(registry.url)}, domain=DOMAIN) + "passthrough = true\n" + PROXY
        certificate = authority.issue(DOMAIN, f"*.{DOMAIN}")
        daemon = running.enter_context(Daemon(tmp_path, text, certificate=certificate))
        yield Proxy(daemon, registry, tokens, authority.file)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Node:
    return Node.make(tmp_path_factory.mktemp("etc"), [DOMAIN, ALIAS], authority.file)


def docker_pulls(docker: DockerEngine, proxy: Proxy, user: str, name: str) -> frozenset[str]:
    """Pull as a user, or as nobody."""
    if not user:
        return docker.pull(name).contents
    docker.log_in(proxy.host, user, PASSWORDS[user])
    try:
        return docker.pull(name).contents
    finally:
        docker.log_out(proxy.host)


def test_s11_who_may_pulls_cold_and_warm_and_nobody_else_does(
    docker_there: DockerEngine, proxy: Proxy, image: Image
) -> None:
    for _ in ("cold", "warm"):
        for user in ("bob", ""):
            with pytest.raises(Failed, match="denied: "):
                docker_pulls(docker_there, proxy, user, proxy.private)
        assert docker_pulls(docker_there, proxy, "alice", proxy.private) == image.unpacked
        proxy.assert_each_was_served_once(image)
    for user in ("bob", ""):
        with pytest.raises(Failed, match="denied: "):
            docker_pulls(docker_there, proxy, user, proxy.private)


def test_s12_a_right_that_is_revoked_upstream_ends_with_the_next_pull(
    docker_there: DockerEngine, proxy: Proxy, image: Image
) -> None:
    assert proxy.tokens.rights is not None
    assert docker_pulls(docker_there, proxy, "alice", proxy.private) == image.unpacked
    proxy.tokens.rights["alice"].remove(PRIVATE)
    with pytest.raises(Failed, match=REFUSED):
        docker_pulls(docker_there, proxy, "alice", proxy.private)
    # Given to another, it begins with the next pull, and the bytes need not come again.
    proxy.tokens.rights["bob"].add(PRIVATE)
    assert docker_pulls(docker_there, proxy, "bob", proxy.private) == image.unpacked
    proxy.assert_each_was_served_once(image)


def test_docker_is_told_that_upstream_does_not_know_its_password(docker_there: DockerEngine, proxy: Proxy) -> None:
    # Docker 26 asks who listens at a loopback address once more, in the clear, and tells of that alone.
    told = r"unauthorized: the login of 'alice' is refused: ghcr\.io answered 401|failed with status: 400 Bad Request"
    with pytest.raises(Failed, match=told):
        docker_there.log_in(proxy.host, "alice", "of bob")


def test_everybody_pulls_what_is_public(
    docker_there: DockerEngine, containerd_there: Containerd, podman_there: Podman, proxy: Proxy, image: Image
) -> None:
    for user in ("", "bob"):
        assert docker_pulls(docker_there, proxy, user, proxy.public) == image.unpacked
    assert containerd_there.pull(proxy.public) == image.digests
    assert image.unpacked < podman_there.pull(proxy.public)


def test_containerd_pulls_with_its_own_credentials(containerd_there: Containerd, proxy: Proxy, image: Image) -> None:
    assert containerd_there.pull(proxy.private, "--user=alice:of alice") == image.digests
    with pytest.raises(Failed, match="403 Forbidden"):
        containerd_there.pull(proxy.private, "--user=bob:of bob")
    with pytest.raises(Failed, match="403 Forbidden"):
        containerd_there.pull(proxy.private)
    with pytest.raises(Failed, match="401 Unauthorized"):
        containerd_there.pull(proxy.private, "--user=alice:of bob")


def test_podman_pulls_with_its_own_credentials(podman_there: Podman, proxy: Proxy, image: Image) -> None:
    with pytest.raises(Failed, match="denied: "):
        podman_there.pull(proxy.private)
    podman_there.log_in(proxy.host, "alice", "of alice")
    assert image.unpacked < podman_there.pull(proxy.private)


def test_s7_credentials_go_to_the_registry_of_their_host_alone(
    docker_there: DockerEngine, proxy: Proxy, image: Image
) -> None:
    """At another host of the same proxy they are nobody's."""
    assert docker_pulls(docker_there, proxy, "alice", proxy.private) == image.unpacked
    asked = len(proxy.tokens.requests)
    reply = proxy.ask(f"/v2/ghcr.io/{PRIVATE}/manifests/v1", ALICE, host=DOMAIN)
    assert (reply.status, reply.code) == (403, "DENIED")
    assert "www-authenticate" not in reply.headers
    (request,) = proxy.tokens.requests[asked:]
    assert not request.values("Authorization")


def test_a_token_of_one_host_is_nothing_at_another(proxy: Proxy) -> None:
    token = proxy.ask(f"/token?scope=repository:{PRIVATE}:pull", ALICE).json()["token"]
    carrying = ("Authorization", f"Bearer {token}")
    path = f"/v2/{PRIVATE}/manifests/v1"
    assert proxy.ask(path, carrying).status == 200
    assert proxy.ask(f"/v2/ghcr.io/{PRIVATE}/manifests/v1", carrying, host=DOMAIN).status == 403
    # And what it holds of upstream's is sealed.
    assert "Bearer" not in token
    assert proxy.ask(path).status == 401


def test_a_digest_is_no_way_round(proxy: Proxy, image: Image) -> None:
    scope = f"/token?scope=repository:{PRIVATE}:pull"
    alice, bob, nobody = (
        ("Authorization", f"Bearer {proxy.ask(scope, *credentials).json()['token']}")
        for credentials in ((ALICE,), (BOB,), ())
    )
    targets = [f"/v2/{PRIVATE}/manifests/{image.manifest.digest}", f"/v2/{PRIVATE}/manifests/v1"]
    targets += [f"/v2/{PRIVATE}/blobs/{blob.digest}" for blob in image.blobs]
    targets += [f"/v2/{PRIVATE}/tags/list"]
    for _ in ("cold", "warm"):
        for target in targets:
            assert proxy.ask(target, bob).status == 403
            assert proxy.ask(target, nobody).status == 403
            assert proxy.ask(target).status == 401
            assert proxy.ask(target, alice).status == 200
            # The same by prefix, where there is no login.
            by_prefix = target.replace("/v2/", "/v2/ghcr.io/")
            assert proxy.ask(by_prefix, host=DOMAIN).status == 403


# As an HTTP proxy, at the registry's own name


@pytest.fixture
def skopeo_there(tmp_path: Path, proxy: Proxy) -> Skopeo:
    """One that asks for everything through it."""
    trusted = tmp_path / "ca.pem"
    trusted.write_text(Operator.of(proxy.daemon, tmp_path).runs("ca", "export").out)
    (tmp_path / "home").mkdir()
    url = proxy.daemon.wait_for_log(r"clients may have (\S+) as their HTTPS_PROXY")[1]
    return Skopeo(tmp_path / "home", Proxied(authority=trusted, url=url))


def test_s11_by_the_registrys_own_name_whoever_may_pulls_and_nobody_else_does(
    skopeo_there: Skopeo, proxy: Proxy, image: Image
) -> None:
    private = f"ghcr.io/{PRIVATE}:v1"
    for _ in ("cold", "warm"):
        assert skopeo_there.pull(private, "--src-creds=alice:of alice") == image.digests | {image.manifest.digest}
        for credentials in (["--src-creds=bob:of bob"], []):
            with pytest.raises(Failed, match="denied"):
                skopeo_there.pull(private, *credentials)
        proxy.assert_each_was_served_once(image)
    with pytest.raises(Failed, match=r"unauthorized|invalid username/password"):
        skopeo_there.pull(private, "--src-creds=alice:of bob")


def test_by_the_registrys_own_name_everybody_pulls_what_is_public(skopeo_there: Skopeo, image: Image) -> None:
    for credentials in (["--src-creds=bob:of bob"], []):
        assert image.digests <= skopeo_there.pull(f"ghcr.io/{PUBLIC}:v1", *credentials)
