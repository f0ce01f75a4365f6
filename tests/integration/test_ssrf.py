"""No client, redirect or challenge leads the daemon inside: seen by the kernel (S2 to S5, S29).

The daemon runs in a network where every address of the world is ours, so that nothing but its own refusal keeps it from
arriving. Each connection that it begins is counted by the kernel, and accepted by a server that notes where it led.
"""

from __future__ import annotations

import ssl
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.parts.answers import Answer, Framing
from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.forbidden import (
    EDGE,
    EDGE_ADDRESS,
    FRONT,
    FRONT_ADDRESS,
    HOSTS,
    LOCAL_NAMES,
    NAMES,
    PUBLIC,
    URLS,
    ZONE,
)
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.internet import Internet
from tests.parts.name_server import NameServer
from tests.parts.raw_http import Reply, ask
from tests.parts.shapes import challenge, content, manifest, redirect, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

# Where something may listen inside; what is in the configuration, or should be, speaks TLS.
OPEN = (22, 80, 2375, 6379, 65535)
SECURE = (443, 5000, 8443)
INSIDE = "inside.example.com"
INSIDE_ADDRESS = "10.1.2.3"
NAMED = "named.example.com:5000"
TURNING = "turning.example.com"
BODY = b'{"schemaVersion": 2}'
CONFIG = '[access]\nregistries = ["*", "' + NAMED + '"]\n'


@dataclass
class World:
    """The servers of all addresses, and the daemon that is led astray."""

    internet: Internet
    names: NameServer
    servers: list[FakeUpstream]
    secure: FakeUpstream
    daemon: Daemon
    socket: Path
    _before: int = 0
    _reached: int = 0
    _asked: int = 0
    _count: int = field(default=0)

    def begin(self) -> None:
        """Count from here on."""
        self._before = self.internet.opened()
        self._reached = len(self._all_reached())
        self._asked = len(self.names.asked)

    def reached(self) -> list[tuple[str, int]]:
        """Where the daemon connected to, having made sure that the kernel saw no attempt besides."""
        reached = self._all_reached()[self._reached :]
        assert self.internet.opened() - self._before == len(reached), reached
        return reached

    def looked_up(self) -> set[str]:
        """The names that were asked for."""
        return set(self.names.asked[self._asked :])

    def get(self, target: str, query: str = "") -> Reply:
        return ask(self.socket, "GET", target + query)

    def repository(self) -> str:
        """A name that nothing is known of."""
        self._count += 1
        return f"team/app-{self._count}"

    def _all_reached(self) -> list[tuple[str, int]]:
        return [place for server in self.servers for place in server.reached]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("net")
    authority = Authority(directory)
    shown = authority.issue(FRONT, "*.example.com", "*.example.net", "*.default.svc")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.chain, shown.key)
    with ExitStack() as running:
        internet = running.enter_context(Internet(directory, authority.file))
        zone = ZONE | {INSIDE: [INSIDE_ADDRESS], NAMED.partition(":")[0]: [EDGE_ADDRESS]}
        turns = {TURNING: [[EDGE_ADDRESS], ["127.0.0.1", "::1"]]}
        names = running.enter_context(NameServer(internet.resolver(), zone, turns))
        secure = [running.enter_context(FakeUpstream(context, internet.listener(port))) for port in SECURE]
        plain = [running.enter_context(FakeUpstream(None, internet.listener(port))) for port in OPEN]
        socket = directory / "crproxy.sock"
        config = configuration({INSIDE: Upstream(f"https://{INSIDE}")}) + CONFIG
        daemon = running.enter_context(Daemon(directory, config, socket=socket, node=internet.node))
        yield World(internet, names, [*secure, *plain], secure[0], daemon, socket)


@pytest.fixture(autouse=True)
def counting(world: World) -> Iterator[None]:
    before = len(world.daemon.log)
    world.begin()
    yield
    world.daemon.assert_calm(after=before)


def assert_refused(reply: Reply, *statuses: int) -> None:
    assert reply.status in statuses, reply
    assert reply.code in ("DENIED", "NAME_INVALID")
    assert len(reply.message) > 20


CORPUS = [host for kind in HOSTS.values() for host in kind]
INSIDE_BY_NAME = set(NAMES)
# Twisted takes a third of a second over each of them.
FEWER = [host for host in CORPUS if host not in INSIDE_BY_NAME] + NAMES[::4]


def test_the_corpus_is_large_and_has_nothing_twice() -> None:
    assert len(CORPUS) == len(set(CORPUS)) >= 150


@pytest.mark.parametrize("host", CORPUS)
def test_s2_a_registry_by_namespace_that_leads_inside_is_refused(world: World, host: str) -> None:
    reply = world.get("/v2/team/app/manifests/v1", f"?ns={quote(host, safe='')}")
    assert_refused(reply, 400, 403)
    assert world.reached() == []
    assert world.looked_up() <= {host} | set(ZONE) if host in INSIDE_BY_NAME else world.looked_up() == set()


@pytest.mark.parametrize("host", [host for host in FEWER if "." in host or ":" in host or host == "localhost"])
def test_s2_a_registry_by_prefix_that_leads_inside_is_refused(world: World, host: str) -> None:
    assert_refused(world.get(f"/v2/{host}/team/app/blobs/{sha256(BODY)}"), 400, 403)
    assert world.reached() == []
    assert host in INSIDE_BY_NAME or world.looked_up() == set()


TARGETS = [f"https://{host}/x" for host in FEWER] + URLS


@pytest.mark.parametrize(
    ("kind", "target"),
    [*(("blobs", f"https://{host}/x") for host in NAMES), *product(("blobs", "manifests"), TARGETS)],
)
def test_s4_a_redirect_that_leads_inside_is_refused(world: World, kind: str, target: str) -> None:
    repository = world.repository()
    path = f"/v2/{repository}/{kind}/{sha256(target.encode())}"
    world.secure.script(path, redirect(target))
    assert_refused(world.get(path.replace("/v2/", f"/v2/{FRONT}/")), 403)
    assert set(world.reached()) <= {(FRONT_ADDRESS, 443)}
    assert world.looked_up() <= {FRONT} or hosts_in(target) <= INSIDE_BY_NAME


@pytest.mark.parametrize("target", TARGETS)
def test_s5_a_token_realm_that_leads_inside_is_refused(world: World, target: str) -> None:
    repository = world.repository()
    path = f"/v2/{repository}/manifests/v1"
    world.secure.script(path, challenge(target.replace("\\", "\\\\"), "service", f"repository:{repository}:pull"))
    assert_refused(world.get(path.replace("/v2/", f"/v2/{FRONT}/")), 403)
    assert set(world.reached()) <= {(FRONT_ADDRESS, 443)}
    assert world.looked_up() <= {FRONT} or hosts_in(target) <= INSIDE_BY_NAME


def hosts_in(target: str) -> set[str]:
    return {target.removeprefix("https://").partition("/")[0].lower()}


@pytest.mark.parametrize(
    "target", [f"https://{host}/x" for host in ("metadata.example.com", "10.0.0.1", "127.1", "localhost")]
)
def test_s4_an_upstream_that_may_be_inside_may_not_send_us_there(world: World, target: str) -> None:
    path = f"/v2/{world.repository()}/blobs/{sha256(target.encode())}"
    world.secure.script(path, redirect(target))
    assert_refused(world.get(path.replace("/v2/", f"/v2/{INSIDE}/")), 403)
    assert set(world.reached()) <= {(INSIDE_ADDRESS, 443)}


@pytest.mark.parametrize("followed", range(1, 5))
def test_s4_each_hop_is_looked_at(world: World, followed: int) -> None:
    repository = world.repository()
    path = f"/v2/{repository}/blobs/{sha256(BODY)}"
    for number in range(followed):
        world.secure.script(
            path if number == 0 else f"/{repository}/{number}", redirect(f"https://{EDGE}/{repository}/{number + 1}")
        )
    world.secure.script(f"/{repository}/{followed}", redirect("https://loopback.example.com/x"))
    assert_refused(world.get(path.replace("/v2/", f"/v2/{FRONT}/")), 403)
    assert set(world.reached()) <= {(FRONT_ADDRESS, 443), (EDGE_ADDRESS, 443)}


def test_s3_a_name_that_leads_elsewhere_the_second_time_is_refused_then(world: World) -> None:
    """DNS rebinding: public when it is looked at first, loopback when the next connection is made."""
    path = f"/v2/{world.repository()}/manifests"
    for tag in ("v1", "v2"):
        world.secure.script(f"{path}/{tag}", Answer(200, (("Content-Type", OCI_MANIFEST),), BODY, Framing.CLOSE))
    through = path.replace("/v2/", f"/v2/{TURNING}/")
    assert world.get(f"{through}/v1").body == BODY
    assert world.reached() == [(EDGE_ADDRESS, 443)]
    assert_refused(world.get(f"{through}/v2"), 403)
    assert world.reached() == [(EDGE_ADDRESS, 443)]


def test_s29_nothing_that_nothing_names_is_asked_through_a_proxy(world: World, tmp_path: Path) -> None:
    proxied = {"https_proxy": "http://proxy.corp:3128", "http_proxy": "http://proxy.corp:3128"}
    socket = tmp_path / "s"
    node = world.internet.node
    with Daemon(tmp_path, configuration({}), socket=socket, node=node, environment=proxied) as daemon:
        for host in [*CORPUS, *PUBLIC]:
            assert_refused(ask(socket, "GET", f"/v2/team/app/manifests/v1?ns={quote(host, safe='')}"), 400, 403)
        assert "through the proxy proxy.corp:3128" in daemon.log
    assert (world.reached(), world.looked_up()) == ([], set())


# What is public arrives: it is not for want of a way that the rest does not.


ARRIVES = {
    FRONT: {FRONT_ADDRESS},
    EDGE: {EDGE_ADDRESS},
    "edge6.example.net": {"2606:4700::1111"},
    "edge-both.example.net": {EDGE_ADDRESS, "2606:4700::1111"},
    "edge-alias.example.net": {EDGE_ADDRESS},
    "some-inside.example.net": {EDGE_ADDRESS},
    INSIDE: {INSIDE_ADDRESS},
    NAMED: {EDGE_ADDRESS},
}


@pytest.mark.parametrize("registry", ARRIVES)
def test_a_public_registry_is_reached_and_a_written_one(world: World, registry: str) -> None:
    path = f"/v2/{world.repository()}/manifests/v1"
    for server in world.servers:
        server.script(path, manifest(BODY, OCI_MANIFEST))
    assert world.get(path.replace("/v2/", f"/v2/{registry}/")).body == BODY
    port = int(registry.partition(":")[2] or 443)
    # Its connection may be there from another test.
    assert set(world.reached()) <= {(address, port) for address in ARRIVES[registry]}
    assert {address for server in world.servers for address, _ in server.reached} & ARRIVES[registry]


@pytest.mark.parametrize("target", [EDGE, "edge6.example.net", "edge-alias.example.net", "some-inside.example.net"])
def test_a_redirect_and_a_realm_that_are_public_are_followed(world: World, target: str) -> None:
    repository = world.repository()
    path, blob = f"/v2/{repository}/blobs/{sha256(target.encode())}", f"/{repository}"
    world.secure.script(path, challenge(f"https://{target}/token", "service", "x"), redirect(f"https://{target}{blob}"))
    world.secure.script("/token", token("public"))
    world.secure.script(blob, content(target.encode()))
    assert world.get(path.replace("/v2/", f"/v2/{FRONT}/")).body == target.encode()
    assert set(world.reached()) <= {(FRONT_ADDRESS, 443), *((address, 443) for address in ARRIVES[target])}


def test_the_kernel_counts_what_goes_inside(world: World) -> None:
    """What is asked where all is allowed: had anything been let through, it would have been seen."""
    assert {*LOCAL_NAMES, *NAMES} <= set(CORPUS)
    assert (INSIDE_ADDRESS, 443) in world.secure.reached
