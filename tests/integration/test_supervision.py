"""What a service manager sees: readiness, reloads, the stop and signs of life; and the sockets that it hands over."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.certificates import Authority
from tests.parts.daemon import Daemon, configuration
from tests.parts.ports import reserve_port
from tests.parts.process import Process, clean_environment
from tests.parts.raw_http import ask
from tests.parts.requirements import need
from tests.parts.secure_http import SecureConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

DOMAIN = "cr.test"
PATIENCE = 20


class Manager:
    """A service manager's end of sd_notify(3)."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(PATIENCE)

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def told(self) -> dict[str, str]:
        """The next thing it is told; raise TimeoutError where nothing comes."""
        pairs = (line.partition("=") for line in self._socket.recv(4096).decode().split("\n"))
        return {name: value for name, _, value in pairs}

    def wait_for(self, name: str) -> dict[str, str]:
        """What is told next that has this name."""
        while name not in (told := self.told()):
            pass
        return told

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing is told for so long, once what has been told already is taken."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return False


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with Manager(tmp_path) as manager:
        yield manager


def test_it_is_ready_when_it_listens_reloads_and_stops(manager: Manager, tmp_path: Path) -> None:
    with Daemon(tmp_path, "", environment={"NOTIFY_SOCKET": manager.address}) as daemon:
        listens = f"listens on {daemon.url}" + (f", {daemon.workers} workers" if daemon.workers > 1 else "")
        assert manager.told() == {"READY": "1", "STATUS": listens}
        assert ask(daemon.address, "GET", "/v2/").status == 200
        for config, status in (
            ("", listens),
            ("x = 1", "the configuration was not read again: the log says why"),
        ):
            daemon.reload(config)
            assert int(manager.wait_for("RELOADING")["MONOTONIC_USEC"]) > 0
            assert manager.told() == {"READY": "1", "STATUS": status}
        daemon.signal(signal.SIGTERM)
        stopping = manager.told()
        assert (stopping["STOPPING"], stopping["EXTEND_TIMEOUT_USEC"]) == ("1", "30000000")
        daemon.wait(PATIENCE)


def test_a_daemon_that_stands_still_gives_no_sign_of_life(manager: Manager, tmp_path: Path) -> None:
    """SIGSTOP stands for whatever blocks the reactor."""
    watched = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"}
    with Daemon(tmp_path, "", environment=watched) as daemon:
        for _ in range(3):
            manager.wait_for("WATCHDOG")
        daemon.signal(signal.SIGSTOP)
        try:
            assert manager.silent_for(2)
        finally:
            daemon.signal(signal.SIGCONT)
        manager.wait_for("WATCHDOG")


@pytest.fixture(params=["index", "name"])
def activated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, int, Process, Path]]:
    """A daemon as systemd starts it with two sockets, at its first connection: its ports, in the clear and by TLS."""
    authority = Authority(tmp_path)
    certificate = authority.issue(DOMAIN, f"*.{DOMAIN}")
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "any.pem").write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
    first, second = ("index=0", "index=1") if request.param == "index" else ("name=http", "name=https")
    listen = f'http = ["systemd:domain=INET6:{first}"]\nhttps = ["systemd:domain=INET6:{second}"]'
    config = configuration({}, domain=DOMAIN, certs=str(tmp_path / "certs"), data_dir=str(tmp_path / "data"))
    (tmp_path / "crproxy.toml").write_text(f'{config}\n[listen]\n{listen}\n[acme]\ndirectory = "none"\n')
    # In crproxy.socket both have one name, which only the index tells apart.
    names = "crproxy:crproxy" if request.param == "index" else "http:https"
    twistd = str(Path(sys.executable).parent / "twistd")
    environment = clean_environment(tmp_path, PYTHONPATH=os.environ.get("PYTHONPATH", ""))

    def command(ports: tuple[int, int]) -> list[str]:
        return [
            need("systemd-socket-activate"),
            *(f"--listen=[::]:{port}" for port in ports),
            f"--fdname={names}",
            *(f"--setenv={name}" for name in ("HOME", "PATH")),
            *(twistd, "-n", "--pidfile=", "crproxy", "--config", str(tmp_path / "crproxy.toml")),
        ]

    ports = reserve_port(), reserve_port()
    with Process(command(ports), tmp_path, environment=environment) as process:
        process.wait_for(r"Listening on \S+ as \d+(?s:.*)Listening on ")
        yield (*ports, process, authority.file)


def test_it_takes_the_sockets_that_it_is_handed(activated: tuple[int, int, Process, Path]) -> None:
    """IPv4 comes by them, too; the redirect leads to the port that clients know, which is 443."""
    http, https, process, authority = activated
    redirect = ask(("127.0.0.1", http), "GET", "/v2/", ("Host", f"quay.{DOMAIN}"))
    assert (redirect.status, redirect.headers["Location"]) == (308, f"https://quay.{DOMAIN}/v2/")
    for name in (DOMAIN, f"quay.{DOMAIN}"):
        with SecureConnection(https, name, authority) as client:
            assert client.get("/v2/").status == 200
    assert process.stop() == -signal.SIGTERM
    assert "Traceback" not in process.log
