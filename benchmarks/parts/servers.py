"""The servers under measurement: each a process on a free port of 127.0.0.1, for one `with` block."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .meter import Meter

__all__ = ["Server", "crproxy", "nginx"]

START_SECONDS = 20.0
STOP_SECONDS = 10.0

# One worker, so that it is measured against one process. What is not set here is nginx's default.
NGINX_CONF = """
daemon off;
worker_processes 1;
user {user};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ }}
http {{
    access_log off;
    sendfile on;
    default_type application/octet-stream;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            {location}
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    name: str
    port: int
    meter: Meter

    def url(self, path: str) -> str:
        """Where it serves `path`."""
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def nginx(name: str, directory: Path, location: str) -> Iterator[Server]:
    """nginx, with `location` as what it does for every path. Its files are in `directory`."""
    directory.mkdir()
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX_CONF.format(directory=directory, port=port, location=location, user=nginx_user()))
    with running(name, [program("nginx"), "-p", str(directory), "-c", str(configuration)], port, directory) as server:
        yield server


def nginx_user() -> str:
    """Who we are: as root, workers would become `nobody`, who may not read a temporary directory."""
    return Path("~").expanduser().owner()


@contextlib.contextmanager
def crproxy(name: str, directory: Path, configuration: str) -> Iterator[Server]:
    """The daemon, from the environment that this interpreter belongs to. Its files are in `directory`."""
    directory.mkdir()
    port = free_port()
    file = directory / "crproxy.toml"
    file.write_text(configuration)
    twistd = str(Path(sys.executable).with_name("twistd"))
    options = ["--config", str(file), "--http", f"tcp:{port}:interface=127.0.0.1"]
    with running(name, [twistd, "--nodaemon", "--pidfile=", "crproxy", *options], port, directory) as server:
        yield server


@contextlib.contextmanager
def running(name: str, command: Sequence[str], port: int, directory: Path) -> Iterator[Server]:
    """Start `command`, wait until it accepts connections, and end it with the block."""
    log = directory / "output.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=directory) as process,
    ):
        try:
            wait_until_it_accepts(port, process, log)
            yield Server(name, port, Meter(process.pid))
        finally:
            end(process)


def wait_until_it_accepts(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once something listens, or raise with what the process said."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen:\n{log.read_text(errors='replace')}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end; insist when it does not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def free_port() -> int:
    """A port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def program(name: str) -> str:
    """Where a program is, /usr/sbin included, which is not on everyone's path."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise RuntimeError(f"{name} is not on this machine: make packages")
    return found
