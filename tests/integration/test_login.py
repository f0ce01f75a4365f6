"""Clients' login: real clients over TLS, with passwords and with tokens.

The rows are those of the project's table of threats (S23).
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import jwt
import pytest

from tests.parts.certificates import Authority
from tests.parts.containerd import Containerd, hosts
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.docker_engine import DockerEngine
from tests.parts.node import Node
from tests.parts.podman import Podman
from tests.parts.program import Failed
from tests.parts.registry import DockerRegistry
from tests.parts.secure_http import SecureConnection
from tests.parts.skopeo import Skopeo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.images import Image
    from tests.parts.layouts import Layout
    from tests.parts.raw_http import Reply

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

DOMAIN, ALIAS = "cr.test", "quay.cr.test"
USER, PASSWORD = "alice", "right: horse@stable"  # a colon and an at sign break what splits naively
WRONG = "the username or the password is wrong"
REPOSITORY, OTHER = "team/app", "team/other"


@dataclass(frozen=True, slots=True)
class Proxy:
    """The daemon, as its clients name it."""

    daemon: Daemon
    directory: Path
    root: Path

    @property
    def domain(self) -> str:
        return f"{DOMAIN}:{self.daemon.tls_port}"

    @property
    def alias(self) -> str:
        return f"{ALIAS}:{self.daemon.tls_port}"

    def image(self, repository: str = REPOSITORY) -> str:
        return f"{self.alias}/{repository}:v1"

    def ask(self, path: str, *fields: tuple[str, str]) -> Reply:
        with SecureConnection(self.daemon.tls_port, ALIAS, self.root) as connection:
            return connection.get(path, *fields)

    def token(self, repository: str = REPOSITORY) -> str:
        """Log in as containerd and Docker do, by hand."""
        credentials = ("Authorization", basic(USER, PASSWORD))
        reply = self.ask(f"/token?service={ALIAS}&scope=repository:{repository}:pull", credentials)
        assert reply.status == 200, reply
        token: str = reply.json()["token"]
        return token

    @property
    def key(self) -> bytes:
        """What tokens are signed with."""
        return (self.daemon.data_dir / "login.key").read_bytes()[:32]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, skopeo: Skopeo, layout: Layout, image: Image
) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        for repository in (REPOSITORY, OTHER):
            skopeo.push(layout.source(image), registry.authority, f"{repository}:v1")
        yield registry


def write_htpasswd(file: Path, *users: str) -> None:
    lines = [f"{user}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()}" for user in users]
    file.write_text("\n".join([*lines, ""]))


def text(registry: DockerRegistry) -> str:
    return configuration({"quay.io": Upstream(registry.url)}, domain=DOMAIN) + '[clients]\nhtpasswd = "htpasswd"\n'


@pytest.fixture(scope="module")
def proxy(
    workers: int, tmp_path_factory: pytest.TempPathFactory, registry: DockerRegistry, authority: Authority
) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("daemon")
    write_htpasswd(directory / "htpasswd", USER, "bob")
    certificate = authority.issue(DOMAIN, f"*.{DOMAIN}")
    with Daemon(directory, text(registry), certificate=certificate) as daemon:
        yield Proxy(daemon, directory, authority.file)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Node:
    return Node.make(tmp_path_factory.mktemp("etc"), [DOMAIN, ALIAS], authority.file)


# Real clients


def test_docker_pulls_after_a_login(docker_there: DockerEngine, proxy: Proxy, image: Image) -> None:
    for host, name in ((proxy.alias, proxy.image()), (proxy.domain, f"{proxy.domain}/quay.io/{REPOSITORY}:v1")):
        docker_there.log_in(host, USER, PASSWORD)
        assert docker_there.pull(name).contents == image.unpacked
        docker_there.log_out(host)
        with pytest.raises(Failed, match=r"unauthorized: log in first|no basic auth credentials"):
            docker_there.pull(name)


# Docker 26 asks who listens at a loopback address once more, in the clear, and tells of that alone.
IN_THE_CLEAR = r"login attempt to http://\S+ failed with status: 400"


def test_docker_is_told_that_its_password_is_wrong(docker_there: DockerEngine, proxy: Proxy) -> None:
    with pytest.raises(Failed, match=f"unauthorized: {WRONG}|{IN_THE_CLEAR}"):
        docker_there.log_in(proxy.alias, USER, "wrong horse")


def test_podman_pulls_after_a_login(podman_there: Podman, proxy: Proxy, image: Image) -> None:
    with pytest.raises(Failed, match="unauthorized"):
        podman_there.pull(proxy.image())
    with pytest.raises(Failed, match="invalid username/password"):
        podman_there.log_in(proxy.alias, USER, "wrong horse")
    podman_there.log_in(proxy.alias, USER, PASSWORD)
    assert podman_there.pull(proxy.image()) == image.unpacked | {image.manifest.digest}


def test_containerd_pulls_with_credentials(containerd_there: Containerd, proxy: Proxy, image: Image) -> None:
    assert containerd_there.pull(proxy.image(), f"--user={USER}:{PASSWORD}") == image.digests
    with pytest.raises(Failed, match="401 Unauthorized"):
        containerd_there.pull(proxy.image(), f"--user={USER}:wrong horse")
    with pytest.raises(Failed, match="401 Unauthorized"):
        containerd_there.pull(proxy.image())


def test_containerd_pulls_with_a_header_of_its_hosts_file(
    containerd_there: Containerd, proxy: Proxy, image: Image, tmp_path: Path
) -> None:
    url = f"https://{proxy.domain}"
    option = hosts(tmp_path, url, f'[host."{url}".header]', f'authorization = "{basic(USER, PASSWORD)}"')
    assert containerd_there.pull(f"quay.io/{REPOSITORY}:v1", option) == image.digests


def test_skopeo_pulls_with_credentials(skopeo_there: Skopeo, proxy: Proxy, image: Image) -> None:
    assert skopeo_there.pull(proxy.image(), f"--src-creds={USER}:{PASSWORD}") == image.digests
    with pytest.raises(Failed, match=r"unauthorized|invalid username/password"):
        skopeo_there.pull(proxy.image(), f"--src-creds={USER}:wrong")


# Tokens, as skopeo is given them


def test_a_token_is_good_for_its_repository_alone(skopeo_there: Skopeo, proxy: Proxy, image: Image) -> None:
    option = f"--src-registry-token={proxy.token()}"
    assert skopeo_there.pull(proxy.image(), option) == image.digests
    with pytest.raises(Failed, match=f"(unauthorized|denied|{OTHER}): this token is not for {OTHER}"):
        skopeo_there.pull(proxy.image(OTHER), option)


def forged(proxy: Proxy, how: str) -> str:
    """Return a token that differs in one thing from one that is good."""
    said = jwt.decode(proxy.token(), proxy.key, ["HS256"], audience=ALIAS)
    match how:
        case "another key":
            return jwt.encode(said, bytes(32), "HS256")
        case "no key":
            return jwt.encode(said, "", "none")
        case "expired":
            return jwt.encode(said | {"exp": int(time.time()) - 1}, proxy.key, "HS256")
        case "another host":
            return jwt.encode(said | {"aud": DOMAIN}, proxy.key, "HS256")
        case "another issuer":
            return jwt.encode(said | {"iss": "somebody"}, proxy.key, "HS256")
        case "nobody":
            return jwt.encode(said | {"sub": "mallory"}, proxy.key, "HS256")
    raise ValueError(how)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("another key", "this is no token of this proxy"),
        ("no key", "this is no token of this proxy"),
        ("expired", "this token has expired"),
        ("another host", "this token is for another host of this proxy"),
        ("another issuer", "this is no token of this proxy"),
        ("nobody", "there is no user mallory here"),
    ],
)
def test_s23_a_forged_token_is_refused(skopeo_there: Skopeo, proxy: Proxy, how: str, told: str) -> None:
    with pytest.raises(Failed, match=f"(unauthorized|denied|{REPOSITORY}): {told}"):
        skopeo_there.pull(proxy.image(), f"--src-registry-token={forged(proxy, how)}")


def test_s23_a_token_lasts_five_minutes_and_says_so(proxy: Proxy) -> None:
    before = time.time()
    said = jwt.decode(proxy.token(), proxy.key, ["HS256"], audience=ALIAS)
    assert said["exp"] - said["iat"] == 300
    assert before - 1 <= said["iat"] <= time.time()
    assert said["access"] == [{"type": "repository", "name": REPOSITORY, "actions": ["pull"]}]
    assert (proxy.daemon.data_dir / "login.key").stat().st_mode & 0o777 == 0o600


# The challenge


def test_docker_learns_of_the_login_by_v2(proxy: Proxy) -> None:
    reply = proxy.ask("/v2/")
    assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
    assert reply.headers["WWW-Authenticate"] == f'Bearer realm="https://{proxy.alias}/token",service="{ALIAS}"'
    assert proxy.ask("/v2/", ("Authorization", f"Bearer {proxy.token()}")).status == 200


def test_s14_the_realm_is_never_a_host_that_is_not_ours(proxy: Proxy) -> None:
    reply = proxy.ask("/v2/", ("Host", f"{ALIAS}.evil.test"))
    assert reply.status == 421
    assert "www-authenticate" not in reply.headers


def test_a_user_who_is_taken_off_the_list_is_out_at_once(proxy: Proxy, registry: DockerRegistry) -> None:
    token, manifest = proxy.token(), f"/v2/{REPOSITORY}/manifests/v1"
    carrying = ("Authorization", f"Bearer {token}")
    assert proxy.ask(manifest, carrying).status == 200
    listen = '\n[listen]\nplain_http = "serve"\n'
    try:
        write_htpasswd(proxy.directory / "htpasswd", "bob")
        before = len(proxy.daemon.log)
        proxy.daemon.reload(text(registry) + listen)
        proxy.daemon.wait_for_log("the configuration was read again", after=before)
        assert proxy.ask(manifest, carrying).status == 401
    finally:
        write_htpasswd(proxy.directory / "htpasswd", USER, "bob")
        before = len(proxy.daemon.log)
        proxy.daemon.reload(text(registry) + listen)
        proxy.daemon.wait_for_log("the configuration was read again", after=before)
    assert proxy.ask(manifest, carrying).status == 200
