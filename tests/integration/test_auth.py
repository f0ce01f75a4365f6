"""Upstreams that want to know who asks: HTTP Basic and bearer tokens, with real registries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Gate, Request, Script, Stall
from tests.parts.daemon import Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import sha256
from tests.parts.raw_http import ask, asking
from tests.parts.registry import PASSWORD, DockerRegistry, htpasswd_auth, token_auth
from tests.parts.shapes import challenge, content, token
from tests.parts.token_server import TokenServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.daemon import Daemon, Start
    from tests.parts.images import Image
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

BODY = b'{"schemaVersion": 2}'
REGISTRY = "registry.example.org"
MANIFEST = f"/v2/{REGISTRY}/team/app/manifests/v1"


@pytest.fixture(scope="module")
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, skopeo: Skopeo, layout: Layout, image: Image) -> Path:
    """What registries that ask for credentials serve; pushed through one that does not."""
    with DockerRegistry(tmp_path_factory.mktemp("open")) as registry:
        skopeo.push(layout.source(image), registry.authority, "team/app:v1")
        return registry.storage


@pytest.fixture
def basic(tmp_path: Path, storage: Path) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path, auth=htpasswd_auth(tmp_path), storage=storage) as registry:
        yield registry


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture
def guarded(tmp_path: Path, storage: Path, tokens: TokenServer) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path, auth=token_auth(tmp_path, tokens), storage=storage) as registry:
        yield registry


def name_through(daemon: Daemon) -> str:
    return f"127.0.0.1:{daemon.port}/{REGISTRY}/team/app:v1"


def assert_refused(daemon: Daemon) -> None:
    refused = ask(daemon.address, "GET", MANIFEST)
    assert (refused.status, refused.code) == (403, "DENIED")
    assert REGISTRY in refused.message
    assert PASSWORD not in refused.message
    assert "www-authenticate" not in refused.headers


def test_configured_credentials_are_sent_as_basic(
    start: Start, skopeo: Skopeo, basic: DockerRegistry, image: Image
) -> None:
    daemon = start({REGISTRY: Upstream(basic.url, "puller", PASSWORD)})
    assert skopeo.pull(name_through(daemon)) == image.digests


def test_a_wrong_basic_password_is_denied(start: Start, basic: DockerRegistry) -> None:
    assert_refused(start({REGISTRY: Upstream(basic.url, "puller", "wrong horse")}))


def test_basic_without_credentials_is_denied(start: Start, basic: DockerRegistry) -> None:
    assert_refused(start({REGISTRY: Upstream(basic.url)}))


def test_a_token_is_fetched_anonymously(
    start: Start, skopeo: Skopeo, guarded: DockerRegistry, tokens: TokenServer, image: Image
) -> None:
    daemon = start({REGISTRY: Upstream(guarded.url)})
    assert skopeo.pull(name_through(daemon)) == image.digests
    (request,) = tokens.requests
    assert request.query == {"service": [tokens.service], "scope": ["repository:team/app:pull"]}
    assert request.values("Authorization") == []


def test_parallel_requests_of_one_scope_share_one_token_request(
    start: Start, guarded: DockerRegistry, tokens: TokenServer
) -> None:
    daemon = start({REGISTRY: Upstream(guarded.url)})
    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(lambda _: ask(daemon.address, "HEAD", MANIFEST).status, range(64)))
    assert statuses == [200] * 64
    assert len(tokens.requests) == 1


def test_a_client_that_leaves_takes_no_token_from_the_others(start: Start) -> None:
    blob, tag = f"team/app/blobs/{sha256(BODY)}", "team/app/manifests/v1"
    with FakeUpstream() as fake, Gate() as gate, ThreadPoolExecutor(1) as other:
        fake.script("/token", replace(token("good"), fault=Stall(gate)))
        for path in (blob, tag):
            fake.script(f"/v2/{path}", answer_the_good(challenge(f"{fake.url}/token", "us", "")))
        daemon = start({REGISTRY: Upstream(fake.url)})
        with asking(daemon.address, "GET", f"/v2/{REGISTRY}/{blob}"):
            fake.seen.wait_for_request("/token")
            stays = other.submit(ask, daemon.address, "GET", f"/v2/{REGISTRY}/{tag}")
            fake.seen.wait_for_request(tag)
        gate.open()
        assert stays.result().body == BODY


def answer_the_good(others: Answer) -> Script:
    def answer(request: Request) -> Answer:
        return content(BODY) if request.values("Authorization") == ["Bearer good"] else others

    return answer


@pytest.mark.parametrize("tells_lifetime", [True, False])
@pytest.mark.parametrize("field", ["token", "access_token"])
def test_every_form_of_a_token_answer_is_understood(
    start: Start, tmp_path: Path, storage: Path, image: Image, field: str, tells_lifetime: bool
) -> None:
    with (
        TokenServer(field=field, tells_lifetime=tells_lifetime) as tokens,
        DockerRegistry(tmp_path, auth=token_auth(tmp_path, tokens), storage=storage) as guarded,
    ):
        daemon = start({REGISTRY: Upstream(guarded.url)})
        assert ask(daemon.address, "GET", MANIFEST).body == image.manifest.read()


def test_configured_credentials_buy_a_token(
    start: Start, tmp_path: Path, storage: Path, skopeo: Skopeo, image: Image
) -> None:
    with (
        TokenServer({"puller": PASSWORD}) as tokens,
        DockerRegistry(tmp_path, auth=token_auth(tmp_path, tokens), storage=storage) as guarded,
    ):
        daemon = start({REGISTRY: Upstream(guarded.url, "puller", PASSWORD)})
        assert skopeo.pull(name_through(daemon)) == image.digests
        assert len(tokens.requests) == 1


@pytest.mark.parametrize("password", [None, "wrong horse"])
def test_a_token_refused_is_denied(start: Start, tmp_path: Path, storage: Path, password: str | None) -> None:
    with (
        TokenServer({"puller": PASSWORD}) as tokens,
        DockerRegistry(tmp_path, auth=token_auth(tmp_path, tokens), storage=storage) as guarded,
    ):
        username = None if password is None else "puller"
        assert_refused(start({REGISTRY: Upstream(guarded.url, username, password)}))
