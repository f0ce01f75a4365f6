"""The servers under measurement: each a process on a free port of 127.0.0.1, for one `with` block."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.parts.ports import reserve_port

from .certificates import HOST, Certificate
from .meter import Meter

__all__ = ["Server", "crproxy", "docker_registry", "environment", "nginx", "program"]

START_SECONDS = 20.0
STOP_SECONDS = 10.0

# One worker, so that it is measured against one process. What is not set here is nginx's default, but for its limits on
# connections and on requests of one connection, which a benchmark must not run into, and for TLS 1.3, which versions
# before 1.23.4 do not speak by themselves.
NGINX_CONF = """
daemon off;
worker_processes 1;
user {user};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log {access_log};
    sendfile on;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    ssl_protocols TLSv1.2 TLSv1.3;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {http}
    {hosts}
    server {{
        listen 127.0.0.1:{port}{tls};
        location / {{
            {location}
        }}
    }}
}}
"""

NGINX_HOST = "server {{ listen 127.0.0.1:{port} ssl; server_name {name}; ssl_certificate {file}; \
ssl_certificate_key {file}; location / {{ {location} }} }}"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers.

    Arguments:
        certificate: the file with the authority of its certificate; None where it speaks plain HTTP.
        http2: whether clients are to ask it for HTTP/2.
        host: what clients call it, where it speaks TLS.
        prefix: what it wants in front of a repository, with a slash at its end.
        proxy: the options by which curl asks it through an HTTP proxy; none where it is asked itself.
    """

    name: str
    port: int
    meter: Meter
    certificate: Path | None = None
    http2: bool = False
    host: str = HOST
    prefix: str = ""
    proxy: tuple[str, ...] = ()

    def path(self, path: str) -> str:
        """Return what it wants for a `path` of the registry protocol."""
        return path.replace("/v2/", f"/v2/{self.prefix}", 1) if self.prefix and path != "/v2/" else path

    def url(self, path: str) -> str:
        """Where it serves `path`."""
        scheme, host = ("http", "127.0.0.1") if self.certificate is None else ("https", self.host)
        return f"{scheme}://{host}:{self.port}{self.path(path)}"


@contextlib.contextmanager
def nginx(
    name: str,
    directory: Path,
    location: str,
    *,
    http: str = "",
    certificate: Certificate | None = None,
    hosts: Mapping[str, Path] = MappingProxyType({}),
    access_log: str = "off",
) -> Iterator[Server]:
    """nginx, with `location` as what it does for every path. Its files are in `directory`.

    Arguments:
        http: more for its http block.
        certificate: makes it speak TLS, with HTTP/1.1 in it.
        hosts: names that it serves as well, and the file with the key and the certificate of each.
    """
    directory.mkdir()
    port = reserve_port()
    if certificate is not None:
        http += f" ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};"
    configuration = directory / "nginx.conf"
    configuration.write_text(
        NGINX_CONF.format(
            directory=directory,
            port=port,
            location=location,
            user=nginx_user(),
            http=http,
            hosts="\n    ".join(
                NGINX_HOST.format(port=port, name=host, file=file, location=location) for host, file in hosts.items()
            ),
            tls="" if certificate is None else " ssl",
            access_log=access_log,
        )
    )
    command = [program("nginx"), "-p", str(directory), "-c", str(configuration)]
    with running(name, command, port, directory, certificate) as server:
        yield server


def nginx_user() -> str:
    """Who we are: as root, workers would become `nobody`, who may not read a temporary directory."""
    return Path("~").expanduser().owner()


@contextlib.contextmanager
def crproxy(
    name: str,
    directory: Path,
    configuration: str,
    *,
    certificate: Certificate | None = None,
    certs: Path | None = None,
    data: Path | None = None,
    workers: int = 1,
) -> Iterator[Server]:
    """The daemon, from the environment that this interpreter belongs to. Its files are in `directory`.

    Arguments:
        data: its data, where that is to outlive it.
        workers: processes that serve clients.
        certs: a directory with the files of its names' certificates, which `certificate` does not count beside.
    """
    directory.mkdir()
    port = reserve_port()
    file = directory / "crproxy.toml"
    file.write_text(configuration)
    twistd = str(Path(sys.executable).with_name("twistd"))
    options = ["--config", str(file), "--data-dir", str(data or directory / "data")]
    endpoint = f"tcp:{port}:interface=127.0.0.1"
    if certificate is not None:
        certs = certificate.write_together(directory / "certs")
        options += ["--domain", HOST]
    if certs is None:
        options += ["--http", endpoint]
    else:
        options += ["--http", "", "--https", endpoint, "--certs", str(certs), "--acme-directory", "none"]
    if workers > 1:
        options += ["--workers", str(workers)]
    command = [twistd, "--nodaemon", "--pidfile=", "crproxy", *options]
    with running(name, command, port, directory, certificate) as server:
        # The port is open before there are workers that accept.
        deadline = time.monotonic() + START_SECONDS
        while workers > 1 and "workers serve clients" not in (directory / "output.log").read_text(errors="replace"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{command!r}: no workers in {START_SECONDS:g} s")
            time.sleep(0.01)
        yield server


@contextlib.contextmanager
def docker_registry(
    name: str, directory: Path, upstream: str, *, certificate: Certificate | None = None
) -> Iterator[Server]:
    """Debian's docker-registry as a pull-through cache of `upstream`, quiet, otherwise as its package sets it up."""
    directory.mkdir()
    port = reserve_port()
    http: dict[str, object] = {"addr": f"127.0.0.1:{port}", "secret": "of no interest"}
    if certificate is not None:
        http["tls"] = {"certificate": str(certificate.chain), "key": str(certificate.key)}
    file = directory / "registry.yml"
    file.write_text(  # all JSON is YAML
        json.dumps(
            {
                "version": 0.1,
                "log": {"accesslog": {"disabled": True}, "level": "error"},
                "storage": {
                    "cache": {"blobdescriptor": "inmemory"},
                    "filesystem": {"rootdirectory": str(directory / "data")},
                },
                "http": http,
                "proxy": {"remoteurl": upstream},
            }
        )
    )
    command = [program("docker-registry"), "serve", str(file)]
    with running(name, command, port, directory, certificate, http2=certificate is not None) as server:
        yield server


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    port: int,
    directory: Path,
    certificate: Certificate | None = None,
    *,
    http2: bool = False,
) -> Iterator[Server]:
    """Start `command`, wait until it accepts connections, and end it with the block."""
    log = directory / "output.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=directory, env=environment()) as process,
    ):
        try:
            wait_until_it_accepts(port, process, log)
            authority = None if certificate is None else certificate.authority
            yield Server(name, port, Meter(process.pid), authority, http2)
        finally:
            end(process)


def wait_until_it_accepts(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once something listens, or raise with what the process said."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.005)
    raise RuntimeError(f"{process.args!r} does not listen:\n{log.read_text(errors='replace')}")


def environment() -> dict[str, str]:
    """This process's environment without proxies: nothing here leaves the machine."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end; insist when it does not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def program(name: str) -> str:
    """Where a program is, /usr/sbin included, which is not on everyone's path."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise RuntimeError(f"{name} is not on this machine: make packages")
    return found
