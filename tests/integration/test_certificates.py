"""Certificates that a CA issues: for every name, in time, and no others. The CA rejects half of all nonces.

What is shown is looked at by OpenSSL's own client, and checked against the CA's root.
"""

from __future__ import annotations

import datetime
import random
import stat
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest

from crproxy.policy.aliases import BUILT_IN
from tests.parts.daemon import Upstream
from tests.parts.docker_engine import DockerEngine, DockerImage
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import sha256
from tests.parts.issuing import DOMAIN, HTTP_01, TLS_ALPN_01, IssuingDaemon
from tests.parts.node import Node
from tests.parts.pebble import Pebble
from tests.parts.places import blob
from tests.parts.s_client import UNRECOGNIZED_NAME, Handshake
from tests.parts.secure_http import SecureConnection, refusal
from tests.parts.shapes import content

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cryptography import x509

    from tests.parts.images import Image
    from tests.parts.layouts import Layout

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

FEW = {"quay": "quay.io", "ghcr": "ghcr.io"}
# So many names are worked at at a time.
AT_ONCE = 3
SELF_SIGNED = "self-signed certificate"
REFUSED = "TLSV1_UNRECOGNIZED_NAME"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A daemon with certificates, the CA that they are from, and a registry behind it."""

    pebble: Pebble
    daemon: IssuingDaemon
    quay: FakeUpstream


@pytest.fixture(scope="module", params=[HTTP_01, TLS_ALPN_01])
def complete(
    workers: int, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[IssuingDaemon]:
    """A daemon whose configuration says nothing of aliases, with a certificate for each name."""
    with (
        Pebble(tmp_path_factory.mktemp("pebble")) as pebble,
        IssuingDaemon(tmp_path_factory.mktemp("daemon"), pebble, challenge=request.param) as daemon,
    ):
        daemon.wait_until_certified(daemon.names)
        assert pebble.orders == len(daemon.names)
        assert DOMAIN in pebble.validated[:AT_ONCE]
        yield daemon


@pytest.fixture(scope="module")
def proxy(workers: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with (
        FakeUpstream() as quay,
        Pebble(tmp_path_factory.mktemp("pebble")) as pebble,
        IssuingDaemon(
            tmp_path_factory.mktemp("daemon"), pebble, aliases=FEW, upstreams={"quay.io": Upstream(quay.url)}
        ) as daemon,
    ):
        daemon.wait_until_certified(daemon.names)
        yield Proxy(pebble, daemon, quay)


# Every name


def test_every_name_has_a_certificate(complete: IssuingDaemon) -> None:
    assert complete.names == [DOMAIN, *sorted(f"{label}.{DOMAIN}" for label in BUILT_IN)]
    for name in complete.names:
        shown = complete.look(name)
        assert (shown.verdict, shown.names) == ("ok", [name])
    assert {state["state"] for state in complete.states().values()} == {"valid"}


def test_the_domain_comes_first(complete: IssuingDaemon) -> None:
    assert DOMAIN in complete.certified()[:AT_ONCE]


def test_who_names_nobody_is_shown_the_domain(complete: IssuingDaemon) -> None:
    shown = complete.look(None)
    assert (shown.verdict, shown.names) == ("ok", [DOMAIN])


@pytest.mark.security("S22")
@pytest.mark.parametrize("name", [f"nobody.{DOMAIN}", f"a.quay.{DOMAIN}", "test", "example.com"])
def test_a_name_that_is_none_is_refused(complete: IssuingDaemon, name: str) -> None:
    shown = complete.look(name)
    assert (shown.certificate, shown.alert) == (None, UNRECOGNIZED_NAME)


def test_who_asks_as_a_ca_does_is_shown_nothing(complete: IssuingDaemon) -> None:
    assert refusal(complete.tls_port, DOMAIN, "acme-tls/1") == REFUSED


@pytest.mark.security("S22")
def test_names_that_are_none_cost_nothing(proxy: Proxy) -> None:
    """A thousand clients with made-up names: nobody is asked for a certificate, and nothing is written down."""
    orders, before = proxy.pebble.orders, len(proxy.daemon.log)
    chance = random.Random(1000)
    for _ in range(1000):
        label = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789-", k=chance.randint(1, 60)))
        assert refusal(proxy.daemon.tls_port, f"x{label}x.{chance.choice([DOMAIN, 'example.com'])}") == REFUSED
    assert proxy.daemon.log[before:] == ""
    assert proxy.pebble.orders == orders
    assert set(proxy.daemon.states()) == set(proxy.daemon.names)
    with SecureConnection(proxy.daemon.tls_port, DOMAIN, proxy.daemon.root) as connection:
        assert connection.get("/v2/").status == 200


# Names that come and go


@pytest.fixture(scope="module")
def image(layout: Layout) -> Image:
    return layout.image()


@pytest.fixture(scope="module")
def docker_there(tmp_path_factory: pytest.TempPathFactory, proxy: Proxy) -> Iterator[DockerEngine]:
    """Docker that trusts nobody but the CA, and knows the names that are to come."""
    names = [f"{label}.{DOMAIN}" for label in ("by-file", "by-socket")]
    node = Node.make(tmp_path_factory.mktemp("etc"), names, proxy.daemon.root)
    with DockerEngine(tmp_path_factory.mktemp("dockt"), node) as engine:
        yield engine


@pytest.mark.parametrize("label", ["by-file", "by-socket"])
def test_an_alias_that_is_added_has_a_certificate_within_seconds(
    proxy: Proxy, docker_there: DockerEngine, image: Image, label: str
) -> None:
    daemon, name = proxy.daemon, f"{label}.{DOMAIN}"
    proxy.quay.publish("org/app", "v1", image)
    assert daemon.look(name).alert == UNRECOGNIZED_NAME
    with proxy.pebble.frozen():
        if label == "by-file":
            added = daemon.read_again({**FEW, label: "quay.io"})
            assert added.startswith("the configuration was read again: [aliases]: added ")
        else:
            daemon.tell("PUT", f"/aliases/{label}", "quay.io")
        for _ in range(2):
            shown = daemon.look(name)
            assert (shown.verdict, shown.names) == (SELF_SIGNED, [name])
    daemon.wait_until_certified([name], seconds=10)
    told = [line for line in daemon.log.splitlines() if f"{name} has no certificate, until" in line]
    assert 1 <= len(told) <= daemon.workers
    shown = daemon.look(name)
    assert (shown.verdict, shown.names) == ("ok", [name])
    assert docker_there.pull(f"{name}:{daemon.tls_port}/org/app:v1") == DockerImage(
        image.manifest.digest, image.unpacked
    )


@pytest.mark.parametrize("how", ["file", "socket"])
def test_an_alias_that_is_removed_is_refused(proxy: Proxy, how: str) -> None:
    daemon, name = proxy.daemon, f"ghcr.{DOMAIN}"
    assert daemon.read_again(FEW).startswith("the configuration was read again")
    assert daemon.look(name).verdict == "ok"
    orders = proxy.pebble.orders
    if how == "file":
        daemon.read_again({"quay": "quay.io"})
    else:
        daemon.tell("DELETE", "/aliases/ghcr")
    shown = daemon.look(name)
    assert (shown.certificate, shown.alert) == (None, UNRECOGNIZED_NAME)
    assert daemon.look(DOMAIN).verdict == "ok"
    daemon.read_again(FEW)
    assert daemon.look(name).verdict == "ok"
    assert proxy.pebble.orders == orders


def test_a_mistake_in_the_file_changes_nothing(proxy: Proxy) -> None:
    daemon = proxy.daemon
    daemon.read_again(FEW)
    states = daemon.states()
    said = daemon.read_again({"quay": "quay.io", "new": "ghcr.io"}, "nonsense = 1\n")
    assert said.startswith("the configuration was not read again, nothing has changed: ")
    assert "nonsense" in said
    assert daemon.states() == states
    assert daemon.look(f"ghcr.{DOMAIN}").verdict == "ok"
    assert daemon.look(f"new.{DOMAIN}").alert == UNRECOGNIZED_NAME


# In time


@dataclass(slots=True)
class Load:
    """Clients that ask for a blob again and again until they are told to stop.

    Arguments:
        names: by which they ask.
        target, digest: what they ask for, and what they must get.
    """

    daemon: IssuingDaemon
    names: Sequence[str]
    target: str
    digest: str
    answers: int = 0
    serials: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        for name in self.names:
            for keeps in (True, False):
                self._threads.append(threading.Thread(target=self._run, args=(name, keeps), daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for_more(self, count: int) -> None:
        """Wait for so many more answers, or for a failure."""
        with self._news:
            wanted = self.answers + count
            assert self._news.wait_for(lambda: self.answers >= wanted or self.failures, 30)

    def _run(self, name: str, keeps: bool) -> None:
        """Ask by one name: on one connection for good, or on a new one each time."""
        try:
            while not self._over.wait(0.02):
                with SecureConnection(self.daemon.tls_port, name, self.daemon.root) as connection:
                    self._ask(connection)
                    while keeps and not self._over.wait(0.02):
                        self._ask(connection)
        except (OSError, HTTPException) as error:
            self.failures.append(f"{name}: {error!r}")

    def _ask(self, connection: SecureConnection) -> None:
        reply = connection.get(self.target)
        with self._news:
            if (reply.status, sha256(reply.body)) != (200, self.digest):
                self.failures.append(f"{reply.status} {reply.body[:200]!r}")
            self.serials.add(connection.serial)
            self.answers += 1
            self._news.notify_all()


def accepted(shown: Handshake) -> x509.Certificate:
    """Return the certificate that was shown, which is good for the name that was asked for."""
    assert (shown.verdict, shown.alert) == ("ok", None)
    assert shown.certificate is not None
    return shown.certificate


def ends(shown: Handshake) -> datetime.datetime:
    assert shown.certificate is not None
    return shown.certificate.not_valid_after_utc


def test_renewal_is_not_noticed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All certificates are replaced, at the last third of their life, while clients pull."""
    # Its last third is long enough for all of them under load.
    lifetime = 24
    body = random.Random(0).randbytes(300_000)
    with FakeUpstream() as upstream, Pebble(tmp_path_factory.mktemp("pebble"), lifetime=lifetime) as pebble:
        place = blob(body, "org/app", "quay.io")
        upstream.script(place.path, content(body))
        upstreams = {"quay.io": Upstream(upstream.url)}
        directory = tmp_path_factory.mktemp("daemon")
        with IssuingDaemon(directory, pebble, aliases=dict.fromkeys(FEW, "quay.io"), upstreams=upstreams) as daemon:
            daemon.wait_until_certified(daemon.names)
            first = {name: daemon.look(name) for name in daemon.names}
            before = len(daemon.log)
            asking = daemon.names[:3]
            with Load(daemon, asking, f"{place.path}?ns=quay.io", sha256(body)) as load:
                daemon.wait_until_certified(daemon.names, seconds=lifetime, after=before)
                load.wait_for_more(100)
            assert load.failures == []
            assert len(load.serials) == 2 * len(asking)
            for name in daemon.names:
                shown = daemon.look(name)
                assert (shown.verdict, shown.names) == ("ok", [name])
                assert ends(shown) > ends(first[name])
            assert pebble.orders == 2 * len(daemon.names)


# Over a restart


@pytest.mark.security("S22")
def test_a_restart_asks_for_nothing(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    with Pebble(tmp_path_factory.mktemp("pebble")) as pebble:

        def start() -> IssuingDaemon:
            return IssuingDaemon(tmp_path_factory.mktemp("daemon"), pebble, aliases=FEW, data_dir=tmp_path / "data")

        with start() as daemon:
            daemon.wait_until_certified(daemon.names)
            shown = [accepted(daemon.look(name)) for name in daemon.names]
        asked = [pebble.orders, pebble.asked("POST /sign-me-up")]
        for end in (IssuingDaemon.kill, IssuingDaemon.stop):
            daemon = start()
            assert {state["state"] for state in daemon.states().values()} == {"valid"}
            assert [accepted(daemon.look(name)) for name in daemon.names] == shown
            end(daemon)
        assert [pebble.orders, pebble.asked("POST /sign-me-up")] == asked


@pytest.mark.security("S22")
def test_keys_are_nobody_elses(proxy: Proxy) -> None:
    kept = proxy.daemon.data_dir / "acme"
    files = [path for path in kept.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"account.pem", *(f"{name}.pem" for name in proxy.daemon.names)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    directories = [kept, *(path for path in kept.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in directories} == {0o700}


def test_who_is_stopped_asks_for_nothing_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Once nothing listens any more, each further name would be a validation that fails, and the CA counts those."""
    with Pebble(tmp_path_factory.mktemp("pebble")) as pebble:
        with IssuingDaemon(tmp_path_factory.mktemp("daemon"), pebble):
            pebble.wait_for_log("Added order")
            began = time.monotonic()
        assert time.monotonic() - began < 3
        assert pebble.orders <= AT_ONCE
