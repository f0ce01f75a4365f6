"""The parts without the daemon: what fails here is the machine's fault or the harness's, not crproxy's."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from http.client import IncompleteRead
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.parts.answers import Answer, Cut, Filler, Framing, Gate, Stall
from tests.parts.buildah import Buildah
from tests.parts.certificates import Authority
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.hostile_registry import HostileRegistry
from tests.parts.lies import Goods
from tests.parts.node import Node
from tests.parts.raw_http import ask, exchange
from tests.parts.registry import DockerRegistry
from tests.parts.shapes import content
from tests.parts.skopeo import Skopeo
from tests.parts.squid import Squid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.containerd import Containerd
    from tests.parts.docker_engine import DockerEngine
    from tests.parts.images import Image
    from tests.parts.layouts import Layout
    from tests.parts.podman import Podman

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, skopeo: Skopeo, layout: Layout, image: Image) -> Iterator[str]:
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        skopeo.push(layout.source(image), registry.authority, "team/direct:v1")
        yield f"{registry.authority}/team/direct:v1"


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


def test_skopeo_pulls_what_was_pushed(skopeo: Skopeo, pushed: str, image: Image) -> None:
    assert skopeo.pull(pushed) == image.digests


def test_podman_pulls_what_was_pushed(podman: Podman, pushed: str, image: Image) -> None:
    assert podman.pull(pushed) == image.digests | image.unpacked


def test_buildah_pulls_what_was_pushed(tmp_path: Path, pushed: str, image: Image) -> None:
    assert Buildah(tmp_path).pull(pushed) == image.digests | image.unpacked


def test_docker_pulls_what_was_pushed(docker: DockerEngine, pushed: str, image: Image) -> None:
    pulled = docker.pull(pushed)
    assert (pulled.pulled_as, pulled.contents) == (image.manifest.digest, image.unpacked)


def test_containerd_pulls_what_was_pushed(containerd: Containerd, pushed: str, image: Image) -> None:
    assert containerd.pull(pushed) == image.digests


def test_a_node_knows_its_names_and_trusts_its_authority(
    tmp_path: Path, skopeo: Skopeo, layout: Layout, image: Image
) -> None:
    authority = Authority(tmp_path)
    with DockerRegistry(tmp_path, certificate=authority.issue("registry.node.test")) as registry:
        skopeo.push(layout.source(image), registry.authority, "team/app:v1")
        there = Skopeo(tmp_path, Node.make(tmp_path, ["registry.node.test"], authority.file))
        assert there.pull(f"registry.node.test:{registry.port}/team/app:v1") == image.digests


def test_squid_reaches_what_it_alone_can_resolve(fake: FakeUpstream) -> None:
    fake.script("/body", content(b"x" * 1000))
    target = f"http://squid.test:{fake.address[1]}/body"
    with Squid(["squid.test"]) as squid:
        assert ask(squid.address, "GET", target).body == b"x" * 1000
        assert squid.requests == [f"GET {target}"]


def test_squid_lets_nobody_through_without_the_password(fake: FakeUpstream) -> None:
    with Squid(["squid.test"], password=True) as squid:
        assert ask(squid.address, "GET", f"http://squid.test:{fake.address[1]}/v2/").status == 407
    assert fake.seen.requests() == []


def test_skopeo_pulls_from_the_fake(skopeo: Skopeo, fake: FakeUpstream, image: Image) -> None:
    fake.publish("team/app", "v1", image)
    assert skopeo.pull(f"{fake.authority}/team/app:v1") == image.digests


@pytest.mark.parametrize("framing", list(Framing))
def test_the_fake_frames_a_body_each_way(fake: FakeUpstream, framing: Framing) -> None:
    fake.script("/body", Answer(body=b"x" * 100_000, framing=framing))
    assert ask(fake.address, "GET", "/body").body == b"x" * 100_000
    assert fake.seen.all_sent("/body", 100_000) == 100_000


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
def test_the_fake_cuts_a_body(fake: FakeUpstream, framing: Framing, reset: bool) -> None:
    fake.script("/body", Answer(body=b"x" * 100_000, framing=framing, fault=Cut(70_000, reset=reset)))
    with exchange(fake.address, "GET", "/body") as response, pytest.raises((IncompleteRead, ConnectionResetError)):
        response.read()


def test_the_fake_stalls_until_told_to_go_on(fake: FakeUpstream) -> None:
    with Gate() as gate:
        fake.script("/body", content(b"x" * 100_000, fault=Stall(gate, at=70_000)))
        with exchange(fake.address, "GET", "/body") as response:
            assert len(response.read(70_000)) == 70_000
            fake.seen.wait_until_still()
            assert fake.seen.all_sent("/body", 70_000) == 70_000
            gate.open()
            assert len(response.read()) == 30_000


def test_the_fake_sees_a_reader_leave(fake: FakeUpstream) -> None:
    fake.script("/body", content(Filler(1 << 30)))
    with exchange(fake.address, "GET", "/body", receive_buffer=4096) as response:
        response.read(1000)
        fake.seen.wait_until_still()
        assert fake.seen.sent("/body") < 16 << 20
    fake.seen.wait_until_closed(0, seconds=10)


def test_the_fake_speaks_tls() -> None:
    authority = trustme.CA()
    served, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusting)
    with (
        FakeUpstream(served) as fake,
        socket.create_connection(fake.address) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted,
    ):
        encrypted.sendall(b"GET /v2/ HTTP/1.1\r\n\r\n")
        assert encrypted.recv(100).startswith(b"HTTP/1.1 200 ")


def test_the_fake_shows_header_lines_as_they_came(fake: FakeUpstream) -> None:
    ask(fake.address, "GET", "/v2/?a=b", ("aCCept", "one"), ("Accept", "two"))
    (request,) = fake.seen.requests("/v2/")
    assert request.lines[-2:] == ("aCCept: one", "Accept: two")
    assert request.values("ACCEPT") == ["one", "two"]


def test_a_hostile_registry_lies_again_where_its_seed_is_the_same() -> None:
    told = []
    for seed in (1, 1, 2):
        with HostileRegistry(seed, patience=0.1) as registry:
            for number in range(1, 60):
                with socket.create_connection(("127.0.0.1", registry.port), timeout=10) as connection:
                    connection.sendall(f"GET /v2/n{number}/app/manifests/v1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    # To the end, which it is up to the registry to make: it may have hung up already.
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(65536):
                            pass
            told.append(registry.answers())
    assert told[0] == told[1] != told[2]
    assert told[0][""] == 59
    assert len(told[0]) > 15


def test_it_is_honest_at_another_port() -> None:
    with HostileRegistry(1, patience=0.1) as registry:
        reply = ask(registry.honest, "GET", "/v2/g7/app/manifests/v1")
        assert (reply.status, reply.body) == (200, Goods.of("g", 7).whole("v1"))
        secret = "/v2/s0/app/manifests/v1"
        assert ask(registry.honest, "GET", secret).status == 401
        assert ask(registry.honest, "GET", secret, ("Authorization", "Basic x")).status == 200
        assert not registry.answers()
