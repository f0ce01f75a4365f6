"""The CA of the HTTP proxy while the daemon runs: shown, exported, renewed, and changed with the registries.

Clients that trust the old one go on meanwhile, and all workers know the same.
"""

from __future__ import annotations

import os
import signal
import ssl
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from tests.parts.daemon import Daemon, configuration
from tests.parts.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

LISTEN = '[proxy]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
NEW = "registry.example.org"
_PATIENCE = 60
# How often somebody is asked that may not have heard of it yet.
_TRIES = 30


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon, and who asks it.

    Arguments:
        home: for what the operator writes.
    """

    daemon: Daemon
    operator: Operator
    home: Path

    @property
    def port(self) -> int:
        return int(self.daemon.wait_for_log(r"clients may have http://127\.0\.0\.1:(\d+) as their HTTPS_PROXY")[1])

    @property
    def files(self) -> list[Path]:
        """Where the keys are, the oldest first."""
        return sorted((self.daemon.data_dir / "proxy-ca").glob("*.pem"), key=lambda file: file.stat().st_mtime_ns)

    def shown(self, number: int | None = None) -> list[dict[str, Any]]:
        """Return what is known, once whoever is asked knows so many."""
        for _ in range(_TRIES):
            found: list[dict[str, Any]] = self.said("show", "--json").json()["authorities"]
            if number in (None, len(found)):
                break
        assert number in (None, len(found))
        return found

    def said(self, *words: str) -> Any:
        said = self.operator.runs("ca", *words)
        assert said.status == 0, said.err
        return said

    def exported(self, name: str) -> Path:
        """Write down what clients are to trust now."""
        file = self.home / name
        file.write_text(self.said("export").out)
        return file

    def issuer(self, trusted: Path, host: str = "ghcr.io") -> str:
        """Ask for a registry as a client that trusts what a file holds; return who signed, by its subject."""
        context = ssl.create_default_context(cafile=str(trusted))
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=_PATIENCE, context=context)
        connection.set_tunnel(host, 443)
        try:
            connection.request("GET", "/v2/")
            assert connection.getresponse().status == 200
            shown = connection.sock.getpeercert(binary_form=True)
        finally:
            connection.close()
        assert isinstance(shown, bytes)
        return x509.load_der_x509_certificate(shown).issuer.rfc4514_string()

    @contextmanager
    def only(self, pid: int) -> Iterator[None]:
        """Have one worker answer alone within the block."""
        others = [other for other in self.daemon.worker_pids() if other != pid] if Daemon.workers > 1 else []
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            yield
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)

    def wait_until_all_know(self, fingerprints: list[str]) -> None:
        """Fail unless every worker comes to know these, and no others."""
        pids = self.daemon.worker_pids() if Daemon.workers > 1 else [self.daemon.pid]
        for pid in pids:
            with self.only(pid):
                known = self.shown(len(fingerprints))
                assert [one["fingerprint"] for one in known] == fingerprints, f"worker {pid}"


def subject(file: Path, number: int = 0) -> str:
    """Return the subject of a CA in a file of them."""
    return x509.load_pem_x509_certificates(file.read_bytes())[number].subject.rfc4514_string()


@contextmanager
def begun(directory: Path, home: Path, config: str, data_dir: Path | None = None) -> Iterator[Running]:
    with Daemon(directory, config, data_dir) as daemon:
        yield Running(daemon, Operator.of(daemon, home), home)


@pytest.fixture
def running(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with begun(tmp_path_factory.mktemp("daemon"), tmp_path, configuration({}) + LISTEN) as made:
        yield made


def test_there_is_one_from_the_start_for_the_names_of_registries(running: Running) -> None:
    (one,) = running.shown()
    assert {"docker.io", "registry-1.docker.io", "ghcr.io", "registry.k8s.io"} <= set(one["names"])
    file = running.exported("ca.pem")
    assert running.said("export").out == one["certificate"]
    assert one["fingerprint"] in running.said("show").out
    assert running.issuer(file) == subject(file)
    running.wait_until_all_know([one["fingerprint"]])


def test_its_key_is_the_daemons_alone(running: Running) -> None:
    (file,) = running.files
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert "PRIVATE KEY" not in running.said("export").out + running.said("show", "--json").out


def test_clients_of_the_old_one_go_on_after_it_was_renewed(running: Running) -> None:
    old = running.exported("old.pem")
    made = running.said("renew", "--json").json()
    first, second = running.shown(2)
    assert second == made
    running.wait_until_all_know([first["fingerprint"], second["fingerprint"]])
    both = running.exported("both.pem")
    assert both.read_text() == first["certificate"] + second["certificate"]
    for _ in range(8):
        assert running.issuer(old) == running.issuer(both) == subject(old)


def test_where_the_key_was_seen_the_next_one_signs_at_once(running: Running) -> None:
    old = running.exported("old.pem")
    made = running.said("renew", "--at-once", "--json").json()
    running.wait_until_all_know([made["fingerprint"]])
    assert len(running.files) == 1
    new = running.exported("new.pem")
    for _ in range(8):
        assert running.issuer(new) == subject(new)
        with pytest.raises(ssl.SSLCertVerificationError):
            running.issuer(old)


def test_it_is_the_same_after_a_restart(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    data, config = tmp_path_factory.mktemp("data"), configuration({}) + LISTEN
    with begun(tmp_path_factory.mktemp("daemon"), tmp_path, config, data) as running:
        before = running.exported("before.pem")
    with begun(tmp_path_factory.mktemp("again"), tmp_path, config, data) as running:
        assert running.exported("after.pem").read_bytes() == before.read_bytes()
        assert running.issuer(before) == subject(before)


def test_another_registry_has_another_one_and_clients_of_the_old_one_go_on(running: Running) -> None:
    old = running.exported("old.pem")
    running.daemon.reload(configuration({}) + LISTEN + f'registries = ["{NEW}"]\n')
    running.daemon.wait_for_log("a new CA for")
    first, second = running.shown(2)
    assert set(second["names"]) == {*first["names"], NEW}
    running.wait_until_all_know([first["fingerprint"], second["fingerprint"]])
    both = running.exported("both.pem")
    assert running.issuer(old) == running.issuer(both) == subject(both, 0)
    assert running.issuer(both, NEW) == subject(both, 1)
    assert len(running.files) == 2, "one worker has made it for all"


def test_a_daemon_that_is_no_proxy_says_so(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with begun(tmp_path_factory.mktemp("daemon"), tmp_path, configuration({})) as running:
        for words in (["show"], ["export"], ["renew"]):
            said = running.operator.runs("ca", *words)
            assert (said.status, said.out) == (1, "")
            assert "set listen under [proxy]" in said.err
