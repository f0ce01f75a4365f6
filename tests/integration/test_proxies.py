"""Upstreams that only a proxy reaches: real registries, with TLS and without, under names that squid alone resolves.

The daemon runs where neither they nor DNS are known: what it got can only have come through squid.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import pytest

from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.node import Node
from tests.parts.program import Failed
from tests.parts.raw_http import Reply, ask
from tests.parts.registry import PASSWORD, USERNAME, DockerRegistry
from tests.parts.squid import Squid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.parts.images import Image
    from tests.parts.layouts import Layout
    from tests.parts.skopeo import Skopeo

pytestmark = pytest.mark.integration

HIDDEN = "registry.hidden.test"
DIRECT = "registry.direct.test"  # the daemon can resolve this one, and squid cannot


class Start(Protocol):
    """Starts a daemon where only names of its own can be resolved; it runs until the test ends."""

    def __call__(self, upstreams: Mapping[str, Upstream], **environment: str) -> Daemon: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A registry with one image, team/app:v1."""

    registry: DockerRegistry
    image: Image
    authority: Authority

    @property
    def port(self) -> int:
        return self.registry.port

    def upstream(self, host: str = HIDDEN, proxy: str | None = None) -> Upstream:
        """Return what the configuration says of it under this name."""
        return Upstream(f"https://{host}:{self.port}", ca_file=self.authority.file, proxy=proxy)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, skopeo: Skopeo, layout: Layout) -> Iterator[Source]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    certificate = authority.issue(HIDDEN, DIRECT)
    with DockerRegistry(tmp_path_factory.mktemp("registry"), certificate=certificate) as registry:
        image = layout.image()
        skopeo.push(layout.source(image), registry.authority, "team/app:v1")
        yield Source(registry, image, authority)


@pytest.fixture
def plain(tmp_path_factory: pytest.TempPathFactory, source: Source) -> Iterator[DockerRegistry]:
    """The same image, without TLS."""
    with DockerRegistry(tmp_path_factory.mktemp("registry"), storage=source.registry.storage) as registry:
        yield registry


@pytest.fixture
def squid() -> Iterator[Squid]:
    with Squid([HIDDEN]) as running:
        yield running


@pytest.fixture
def guarded() -> Iterator[Squid]:
    with Squid([HIDDEN], password=True) as running:
        yield running


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    node = Node.make(tmp_path_factory.mktemp("etc"), [DIRECT])
    with ExitStack() as running:

        def start(upstreams: Mapping[str, Upstream], **environment: str) -> Daemon:
            directory = tmp_path_factory.mktemp("daemon")
            daemon = Daemon(directory, configuration(upstreams), node=node, environment=environment)
            return running.enter_context(daemon)

        yield start


def with_password(squid: Squid, password: str = PASSWORD) -> str:
    return f"http://{USERNAME}:{quote(password)}@{squid.authority}"


def name_through(daemon: Daemon, registry: str = HIDDEN) -> str:
    return f"127.0.0.1:{daemon.port}/{registry}/team/app:v1"


def ask_for_manifest(daemon: Daemon, registry: str = HIDDEN) -> Reply:
    return ask(daemon.address, "GET", f"/v2/{registry}/team/app/manifests/v1")


def test_the_upstream_cannot_be_reached_without_a_proxy(start: Start, source: Source) -> None:
    answer = ask_for_manifest(start({HIDDEN: source.upstream()}))
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    assert answer.message == f"{HIDDEN} is not available: its name cannot be resolved"


def test_a_pull_goes_through_the_configured_proxy(start: Start, source: Source, squid: Squid, skopeo: Skopeo) -> None:
    daemon = start({HIDDEN: source.upstream(proxy=squid.url)})
    assert skopeo.pull(name_through(daemon)) == source.image.digests
    assert set(squid.requests) == {f"CONNECT {HIDDEN}:{source.port}"}


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
def test_a_pull_goes_through_the_environments_proxy(
    start: Start, source: Source, squid: Squid, skopeo: Skopeo, variable: str
) -> None:
    daemon = start({HIDDEN: source.upstream()}, **{variable: squid.url})
    assert skopeo.pull(name_through(daemon)) == source.image.digests
    assert set(squid.requests) == {f"CONNECT {HIDDEN}:{source.port}"}


def test_a_pull_goes_through_a_proxy_that_wants_a_password(
    start: Start, source: Source, guarded: Squid, skopeo: Skopeo
) -> None:
    daemon = start({HIDDEN: source.upstream(proxy=with_password(guarded))})
    assert skopeo.pull(name_through(daemon)) == source.image.digests
    assert set(guarded.requests) == {f"CONNECT {HIDDEN}:{source.port}"}


def test_the_environments_proxy_may_want_a_password(
    start: Start, source: Source, guarded: Squid, skopeo: Skopeo
) -> None:
    daemon = start({HIDDEN: source.upstream()}, https_proxy=with_password(guarded))
    assert skopeo.pull(name_through(daemon)) == source.image.digests


@pytest.mark.security("S26")
@pytest.mark.parametrize("password", [None, "wrong horse"])
def test_a_wrong_proxy_password_is_told(
    start: Start, source: Source, guarded: Squid, skopeo: Skopeo, password: str | None
) -> None:
    proxy = guarded.url if password is None else with_password(guarded, password)
    daemon = start({HIDDEN: source.upstream(proxy=proxy)})
    answer = ask_for_manifest(daemon)
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    told = f"{HIDDEN} is not available: the proxy {guarded.authority} answered 407 Proxy Authentication Required"
    assert answer.message == told
    daemon.wait_for_log(re.escape(told))
    assert "horse" not in daemon.log
    with pytest.raises(Failed, match="503 Service Unavailable"):
        skopeo.pull(name_through(daemon))


def test_a_proxy_that_is_down_is_told(start: Start, source: Source, squid: Squid) -> None:
    squid.stop()
    answer = ask_for_manifest(start({HIDDEN: source.upstream(proxy=squid.url)}))
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    assert f"the proxy {squid.authority}" in answer.message


def test_no_proxy_is_honoured(start: Start, source: Source, squid: Squid, skopeo: Skopeo) -> None:
    upstreams = {name: source.upstream(name) for name in (HIDDEN, DIRECT)}
    daemon = start(upstreams, https_proxy=squid.url, no_proxy="example.org, .direct.test")
    for name in upstreams:
        assert skopeo.pull(name_through(daemon, name)) == source.image.digests
    assert set(squid.requests) == {f"CONNECT {HIDDEN}:{source.port}"}


def test_an_upstream_may_have_no_proxy_in_spite_of_the_environment(
    start: Start, source: Source, squid: Squid, skopeo: Skopeo
) -> None:
    daemon = start({DIRECT: source.upstream(DIRECT, proxy="")}, https_proxy=squid.url)
    assert skopeo.pull(name_through(daemon, DIRECT)) == source.image.digests
    assert squid.requests == []


def test_a_proxy_does_not_make_a_certificate_trusted(start: Start, source: Source, squid: Squid) -> None:
    answer = ask_for_manifest(start({HIDDEN: Upstream(source.upstream().endpoint, proxy=squid.url)}))
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    assert "TLS failed: certificate verify failed" in answer.message


def test_a_plain_upstream_is_asked_in_absolute_form(
    start: Start, source: Source, plain: DockerRegistry, guarded: Squid, skopeo: Skopeo
) -> None:
    base = f"http://{HIDDEN}:{plain.port}"
    daemon = start({HIDDEN: Upstream(base)}, http_proxy=with_password(guarded), https_proxy="http://127.0.0.1:1")
    assert skopeo.pull(name_through(daemon)) == source.image.digests
    blobs = [f"GET {base}/v2/team/app/blobs/{blob.digest}" for blob in source.image.blobs]
    assert sorted(guarded.requests) == sorted([*blobs, f"GET {base}/v2/team/app/manifests/v1"])


def test_a_plain_upstreams_proxy_with_a_wrong_password_is_told(
    start: Start, plain: DockerRegistry, guarded: Squid
) -> None:
    upstream = Upstream(f"http://{HIDDEN}:{plain.port}", proxy=with_password(guarded, "wrong horse"))
    answer = ask_for_manifest(start({HIDDEN: upstream}))
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    assert f"the proxy {guarded.authority} answered 407" in answer.message
