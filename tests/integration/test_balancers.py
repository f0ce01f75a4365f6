"""The balancers of deploy/compose-fleet and deploy/systemd-fleet: by the real programs, before two real daemons.

What [storage] and [fleet] say is left out: the nodes are two that know nothing of each other, behind one balancer.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.caller import Caller
from tests.parts.daemon import Daemon
from tests.parts.deployment import COMPOSE, SYSTEMD, without_fleet
from tests.parts.ports import reserve_port, wait_until_listening
from tests.parts.process import Process
from tests.parts.requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.parts.certificates import Authority

pytestmark = pytest.mark.integration

DOMAIN = "cr.example.com"
CLIENT = "127.0.0.3"
BALANCERS = {
    "haproxy": SYSTEMD / "haproxy.cfg",
    "haproxy-in-compose": COMPOSE / "haproxy.cfg",
    "nginx-stream": SYSTEMD / "nginx-stream.conf",
    "nginx-http": SYSTEMD / "nginx-http.conf",
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """Two nodes and a balancer, whose port of TLS it is."""

    nodes: tuple[Daemon, Daemon]
    port: int
    root: Path

    def status(self) -> int:
        """What a client is answered that connects anew."""
        with Caller(self.port, CLIENT, name=DOMAIN, root=self.root) as caller:
            return caller.get("/v2/").status


class Starting:
    """Makes the files of an example into those of one machine, and starts what they are for."""

    def __init__(self, directory: Path, authority: Authority, running: ExitStack) -> None:
        self._directory = directory
        self._authority = authority
        self._certificate = authority.issue(DOMAIN)
        self._running = running

    def __call__(self, balancer: str) -> Fleet:
        nodes = [self._node(number, balancer) for number in (1, 2)]
        port = reserve_port()
        text = BALANCERS[balancer].read_text()
        for number, (daemon, metrics) in enumerate(nodes, 1):
            for there, here in ((443, getattr(daemon, "tls_port", 0)), (80, daemon.port)):
                check = f" check port {metrics}" if "haproxy" in balancer else ""
                # The addresses of one example, the names of the other.
                place = rf"(?<=[ ])(?:192\.0\.2\.1{number}|node-{number}):{there}\b"
                text = re.sub(place, f"127.0.0.1:{here}{check}", text)
        text = text.replace(" check port 9090", "")
        text = re.sub(r"^ +(?:listen \[::\]:.*|user .*|group .*|log /dev/log .*)\n|^user .*\n", "", text, flags=re.M)
        plain, tls = f"127.0.0.1:{reserve_port()}", f"127.0.0.1:{port}"
        text = re.sub(r"\b(bind|listen) (?::::|:|\[::\]:)?80\b(?: v4v6)?", rf"\1 {plain}", text)
        text = re.sub(r"\b(bind|listen) (?::::|:|\[::\]:)?443\b(?: v4v6)?", rf"\1 {tls}", text)
        text = text.replace("/etc/nginx/cr.example.com.pem", str(self._certificate.chain))
        text = text.replace("/etc/nginx/cr.example.com.key", str(self._certificate.key))
        self._balancer(balancer, text, port)
        return Fleet((nodes[0][0], nodes[1][0]), port, self._authority.file)

    def _node(self, number: int, balancer: str) -> tuple[Daemon, int]:
        directory = self._directory / f"node-{number}"
        certs = directory / "certs"
        certs.mkdir(parents=True)
        (certs / "own.pem").write_bytes(self._certificate.key.read_bytes() + self._certificate.chain.read_bytes())
        metrics = reserve_port()
        text = without_fleet((SYSTEMD / f"node-{number}.toml").read_text(), "acme", "metrics")
        text = text.replace("192.0.2.10", "127.0.0.1")
        text += f'[metrics]\nlisten = "tcp:{metrics}:interface=127.0.0.1"\n'
        ends_here = balancer != "nginx-http"
        endpoint = f"{'haproxy:' if ends_here else ''}tcp:0:interface=127.0.0.1"
        listen = ["--http", endpoint, "--https", endpoint if ends_here else ""]
        listen += ["--certs", str(certs), "--acme-directory", "none"]
        return self._running.enter_context(Daemon(directory, text, listen=listen)), metrics

    def _balancer(self, name: str, text: str, port: int) -> None:
        file = self._directory / BALANCERS[name].name
        file.write_text(text)
        command = [need("haproxy"), "-db", "-f", str(file)]
        if "nginx" in name:
            need_root("nginx with its usual places")
            command = [need("nginx"), "-c", str(file), "-e", "stderr", "-g", f"daemon off; pid {file}.pid;"]
        process = self._running.enter_context(Process(command, self._directory))
        wait_until_listening(port, process)


@pytest.fixture
def start(tmp_path: Path, authority: Authority) -> Iterator[Callable[[str], Fleet]]:
    with ExitStack() as running:
        yield Starting(tmp_path, authority, running)


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("balancer", BALANCERS)
def test_both_nodes_serve_and_know_who_asks(balancer: str, start: Callable[[str], Fleet]) -> None:
    fleet = start(balancer)
    assert {fleet.status() for _ in range(8)} == {200}
    for node in fleet.nodes:
        node.wait_for_log(rf'{CLIENT} - - \[.*"GET /v2/ ')


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("balancer", BALANCERS)
def test_where_one_ends_the_other_serves(balancer: str, start: Callable[[str], Fleet]) -> None:
    fleet = start(balancer)
    assert fleet.status() == 200
    fleet.nodes[0].stop()
    assert {fleet.status() for _ in range(8)} == {200}


class TestTheirOwnChecks:
    """As they stand, but for a certificate that is not there."""

    @pytest.mark.parametrize("directory", [SYSTEMD, COMPOSE], ids=lambda path: path.name)
    def test_haproxy(self, directory: Path) -> None:
        command = [need("haproxy"), "-c", "-f", str(directory / "haproxy.cfg")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Configuration file is valid" in done.stdout
        warnings = [line for line in done.stderr.splitlines() if "[ALERT]" in line or "[WARNING]" in line]
        # The names of containers are known to Docker alone.
        assert [line for line in warnings if "could not resolve address 'node-" not in line] == []

    @pytest.mark.parametrize("name", ["nginx-stream.conf", "nginx-http.conf"])
    def test_nginx(self, name: str, tmp_path: Path, authority: Authority) -> None:
        need_root("nginx with its usual places")
        certificate = authority.issue(DOMAIN)
        text = (SYSTEMD / name).read_text().replace("/etc/nginx/cr.example.com.pem", str(certificate.chain))
        file = tmp_path / name
        file.write_text(text.replace("/etc/nginx/cr.example.com.key", str(certificate.key)))
        command = [need("nginx"), "-t", "-c", str(file), "-e", "stderr", "-g", f"pid {tmp_path}/pid;"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "test is successful" in done.stderr, done.stderr
        assert "[warn]" not in done.stderr


def test_compose_takes_it(tmp_path: Path) -> None:
    """By the schema of docker compose; tests/deploy looks whether all that is named is there."""

    def filled(match: re.Match[str]) -> str:
        return match[3] if match[2] == "-" else {"CRPROXY_DOMAIN": DOMAIN, "CRPROXY_EMAIL": "ops@example.com"}[match[1]]

    text = (COMPOSE / "compose.yaml").read_text()
    (tmp_path / "compose.yaml").write_text(re.sub(r"\$\{(\w+):([-?])([^}]*)\}", filled, text))
    done = compose_spec(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_compose_takes_no_key_that_there_is_not(tmp_path: Path) -> None:
    text = re.sub(r"\$\{[^}]+\}", "a", (COMPOSE / "compose.yaml").read_text())
    (tmp_path / "compose.yaml").write_text(text.replace("secrets: [valkey]", "secrts: [valkey]"))
    done = compose_spec(tmp_path)
    assert done.returncode != 0
    assert "secrts" in done.stderr


def compose_spec(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [need("compose-spec"), "compose.yaml"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
