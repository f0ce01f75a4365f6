"""The daemon under test: crproxy as its users start it, with a configuration of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

from .cache import Cache
from .node import HERE, Node
from .process import Process, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .certificates import Certificate

__all__ = ["TROUBLE", "Daemon", "Start", "Upstream", "configuration"]

_PLAIN = "tcp:0:interface=127.0.0.1"
TROUBLE = re.compile(r"Traceback|unhandled error", re.IGNORECASE)
# What Twisted says of its own parts, which tells an operator nothing.
_NOISE = re.compile(r".* object at 0x.*| starting on .*")


@dataclass(frozen=True, slots=True)
class Upstream:
    """What the configuration says of one registry.

    Arguments:
        endpoints: several, each a URL or a table of its own, in place of the one.
    """

    endpoint: str = ""
    username: str | None = None
    password: str | None = None
    private_hosts: tuple[str, ...] = ()
    token_hosts: tuple[str, ...] = ()
    ca_file: Path | None = None
    proxy: str | None = None
    retries: int | None = None
    connections: int | None = None
    endpoints: Sequence[str | Mapping[str, str | bool]] = ()
    redirect_blobs: bool = False


def configuration(
    upstreams: Mapping[str, Upstream],
    *,
    timeouts: Mapping[str, str] | None = None,
    cache: Mapping[str, str] | None = None,
    **top: str,
) -> str:
    """Return a configuration file's text.

    Python's and TOML's strings agree as JSON writes them, but for its pairs of surrogates, which TOML does not know.
    """
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for name, table in (("timeouts", timeouts), ("cache", cache)):
        if table:
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    for name, upstream in upstreams.items():
        lines += [f"[upstreams.{json.dumps(name)}]", f"endpoint = {_endpoints(upstream)}"]
        if upstream.private_hosts:
            lines.append(f"private_hosts = {json.dumps(upstream.private_hosts)}")
        if upstream.token_hosts:
            lines.append(f"token_hosts = {json.dumps(upstream.token_hosts)}")
        if upstream.ca_file is not None:
            lines.append(f"ca_file = {json.dumps(str(upstream.ca_file))}")
        if upstream.proxy is not None:
            lines.append(f"proxy = {json.dumps(upstream.proxy)}")
        if upstream.retries is not None:
            lines.append(f"retries = {upstream.retries}")
        if upstream.redirect_blobs:
            lines.append("redirect_blobs = true")
        if upstream.connections is not None:
            lines.append(f"connections = {upstream.connections}")
        if upstream.username is not None:
            lines += [
                f"username = {json.dumps(upstream.username)}",
                f"password = {json.dumps(upstream.password, ensure_ascii=False)}",
            ]
    return "\n".join([*lines, ""])


def _endpoints(upstream: Upstream) -> str:
    if not upstream.endpoints:
        return json.dumps(upstream.endpoint)
    return f"[{', '.join(map(_written, upstream.endpoints))}]"


def _written(endpoint: str | Mapping[str, str | bool]) -> str:
    if isinstance(endpoint, str):
        return json.dumps(endpoint)
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in endpoint.items()) + " }"


class Daemon:
    """A running crproxy that listens on a free port; leaving the ``with`` block stops it.

    Arguments:
        directory: its working directory, which holds its configuration, and its data unless another place is given.
        config: the configuration file's text; None is no file.
        data_dir: its data, which other daemons may share and which outlives it.
        certificate: to listen for HTTPS as well, on another free port, with this.
        listen: options that say where to listen, in place of those.
        socket: the path to listen at, in place of any port.
        node: where it runs.
        environment: more variables.
        workers: processes that serve clients; by default what all daemons of a test have.
        host: the address that tests ask it at.
    """

    tls_port: int
    workers = 1

    def __init__(
        self,
        directory: Path,
        config: str | None,
        data_dir: Path | None = None,
        *,
        certificate: Certificate | None = None,
        listen: Sequence[str] | None = None,
        socket: Path | None = None,
        node: Node = HERE,
        environment: Mapping[str, str] | None = None,
        workers: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._host = host
        if workers is not None:
            self.workers = workers
        self.data_dir = data_dir or directory / "data"
        self._ended = False
        self.file = file = directory / "crproxy.toml"
        twistd = Path(sys.executable).parent / "twistd"
        command = [str(twistd), "-n", "--pidfile=", "crproxy"]
        if config is not None:
            file.write_text(config, encoding="utf-8")
            file.chmod(0o600)
            command += ["--config", str(file)]
        if socket is not None:
            command += ["--http", f"unix:{socket}", "--https", ""]
        elif listen is not None:
            command += listen
        elif certificate is None:
            command += ["--http", _PLAIN, "--https", ""]
        else:
            command += ["--http", _PLAIN, "--https", _PLAIN, *_certs(certificate, directory / "certs")]
            file.write_text(f'{config}\n[listen]\nplain_http = "serve"\n')
        command += ["--data-dir", str(self.data_dir)]
        if self.workers > 1:
            command += ["--workers", str(self.workers)]
        variables = clean_environment(directory, **node.environment, **(environment or {}))
        self._process = Process(node.command(command), directory, environment=variables)
        try:
            if socket is not None:
                self._process.wait_for(r"listens on http:///")
            elif listen is None or listen[listen.index("--http") + 1]:
                self.url = self._process.wait_for(r"listens on (http://[^\s/\"]+)")[1].replace("0.0.0.0", "localhost")
            if certificate is not None or (listen is not None and listen[listen.index("--https") + 1]):
                self.tls_port = int(self._process.wait_for(r"listens on https://\S+:(\d+)")[1])
            if self.workers > 1:
                self._process.wait_for("workers serve clients")
        except BaseException:
            self._process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def address(self) -> tuple[str, int]:
        return (self._host, self.port)

    @property
    def log(self) -> str:
        return self._process.log

    def stop(self) -> None:
        """End it; an error that nobody handled, anywhere in its log, fails the test, and so does an early death."""
        if self._ended:
            return
        self._ended = True
        # Asked once, it waits for transfers that a test may have left standing; asked twice, it cuts them off.
        self._process.signal(signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            self._process.wait(2)
        status = self._process.stop()
        self.assert_calm()
        # twistd ends by the signal that it was asked to end by.
        assert status in (0, -signal.SIGTERM), f"crproxy ended with {status}; its log:\n{self.log}"

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.signal(number)

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, as it was asked to; fail where it takes longer than so many seconds."""
        status = self._process.wait(seconds)
        self._ended = True
        self._process.stop()
        self.assert_calm()
        assert status in (0, -signal.SIGTERM), f"crproxy ended with {status}; its log:\n{self.log}"

    def reload(self, config: str) -> None:
        """Write another configuration file, and tell it to read that (SIGHUP)."""
        self.file.write_text(config)
        os.kill(self._process.pid, signal.SIGHUP)

    def kill(self, *, first_alone: bool = False) -> None:
        """End it as a crash of the machine does (kill -9), all of its processes or only the first."""
        self._ended = True
        workers = self.worker_pids() if self.workers > 1 and not first_alone else []
        # It must not replace any.
        os.kill(self.pid, signal.SIGSTOP)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self.assert_calm()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let all of its processes do nothing within the block: connections stand, and nothing comes of them."""
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def wait_for_log(self, pattern: str, seconds: float = 60, *, after: int = 0) -> re.Match[str]:
        """Return the first match of ``pattern`` in the log from character ``after`` on, as soon as it is there."""
        return self._process.wait_for(pattern, seconds, after=after)

    @property
    def pid(self) -> int:
        """Its process, the first where there are several."""
        return self._process.pid

    def worker_pids(self) -> list[int]:
        """The processes that serve clients, where there are several: all of them have been started."""
        self.wait_for_log("workers serve clients")
        return _children(self.pid)

    def kill_worker(self, pid: int) -> None:
        """End one of them as a crash does (kill -9), and wait until another serves in its place."""
        seen = len(self.log)
        os.kill(pid, signal.SIGKILL)
        self.wait_for_log("serves clients again", after=seen)

    @property
    def cache(self) -> Cache:
        """What it has on disk."""
        return Cache(self.data_dir)

    def assert_calm(self, *, after: int = 0) -> None:
        """Fail if the log, from character ``after`` on, tells of an error that nobody handled, or of inner parts."""
        log = self.log[after:]
        assert not TROUBLE.search(log), f"crproxy logged an error nobody handled:\n{log}"
        noise = _NOISE.findall(log)
        assert not noise, f"crproxy logged what Twisted says of its own parts:\n{noise}"

    def rss_bytes(self) -> int:
        """The resident memory of all its processes now."""
        return sum(_rss_bytes(pid) for pid in self._pids())

    def descriptors(self) -> int:
        """How many files and sockets its processes have open now."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self._pids())

    def _pids(self) -> list[int]:
        """Its process, and those that it has started."""
        return [self.pid, *_children(self.pid)]

    def cpu_seconds(self) -> float:
        """The processor time it has used so far, its own and the kernel's for it (proc(5), utime and stime)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _certs(certificate: Certificate, directory: Path) -> list[str]:
    """Options that show ``certificate``, which the directory is made for."""
    directory.mkdir()
    (directory / "proxy.pem").write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
    return ["--certs", str(directory), "--acme-directory", "none"]


class Start(Protocol):
    """Starts a daemon in a directory of its own, which runs until the test ends.

    Arguments:
        cache: the configuration's table.
        data_dir: a directory that is kept when the daemon ends, or shared with another.
    """

    def __call__(
        self,
        upstreams: Mapping[str, Upstream],
        *,
        cache: Mapping[str, str] | None = None,
        data_dir: Path | None = None,
        **timeouts: str,
    ) -> Daemon: ...


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _rss_bytes(pid: int) -> int:
    kibibytes = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert kibibytes is not None
    return int(kibibytes[1]) * 1024
