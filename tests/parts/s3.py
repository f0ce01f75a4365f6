"""A real S3 server, which a test may kill, freeze, start again, and whose objects it may look at and spoil.

It is versitygw, unless CRPROXY_TEST_S3 names another one: ``seaweedfs``, whose program is ``weed`` on PATH. What is to
be had of both is asked for by S3, with the rights of the owner.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import obstore
import pytest
from obstore.store import S3Store

from .ports import reserve_port, wait_until_listening
from .process import Process, clean_environment
from .requirements import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["S3Server"]

_READY_SECONDS = 60.0


class S3Server:
    """A running S3 server with one bucket; leaving the ``with`` block stops it. What it keeps stays in ``directory``.

    Arguments:
        directory: for its objects and its log.
        host: by which it is reached, if not from this machine alone: then it listens at every address.
    """

    region = "us-east-1"
    access_key_id = "tester"
    secret_access_key = "test-secret-of-nobody"
    bucket = "crproxy"

    def __init__(self, directory: Path, *, host: str | None = None) -> None:
        name = os.environ.get("CRPROXY_TEST_S3", "versitygw")
        if name not in _SERVERS:
            pytest.fail(f"CRPROXY_TEST_S3={name}: there are {', '.join(_SERVERS)}", pytrace=False)
        self._server = _SERVERS[name](directory, "127.0.0.1" if host is None else "0.0.0.0")
        self.endpoint = f"http://{host or '127.0.0.1'}:{self._server.port}"
        self._process = self._server.start()
        try:
            self._server.make_bucket()
        except BaseException:
            self._process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()

    @property
    def port(self) -> int:
        """Where on 127.0.0.1 it listens."""
        return self._server.port

    @property
    def log(self) -> str:
        """What it has written since it was started last."""
        return self._process.log

    def names(self) -> list[str]:
        """The names of all objects in the bucket."""
        return [one["path"] for batch in obstore.list(self._owner()) for one in batch]

    def content(self, key: str) -> bytes:
        """The bytes of an object."""
        return bytes(obstore.get(self._owner(), key).bytes())

    def write(self, key: str, content: bytes) -> None:
        """Have an object have other bytes."""
        obstore.put(self._owner(), key, content)

    def remove(self, key: str) -> None:
        """Have an object be gone."""
        obstore.delete(self._owner(), key)

    def kill(self) -> None:
        """End it at once: connections break, and nobody listens there any more."""
        self._process.kill()

    def start_again(self) -> None:
        """Start it at the same address, with what it had kept."""
        self._process = self._server.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it do nothing within the block: connections stand, and nothing comes of them."""
        self._process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.signal(signal.SIGCONT)

    def _owner(self) -> S3Store:
        return S3Store(
            self.bucket,
            endpoint=self.endpoint,
            region=self.region,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            client_options={"allow_http": True},
        )


class _VersityGw:
    """versitygw, which keeps objects as files."""

    def __init__(self, directory: Path, listens_at: str) -> None:
        self.port = reserve_port()
        self._listens_at = listens_at
        self._directory = directory
        self._program = need("versitygw")

    def start(self) -> Process:
        owner = {"ROOT_ACCESS_KEY_ID": S3Server.access_key_id, "ROOT_SECRET_ACCESS_KEY": S3Server.secret_access_key}
        environment = clean_environment(self._directory, **owner)
        self._buckets.mkdir(parents=True, exist_ok=True)
        command = [self._program, "--port", f"{self._listens_at}:{self.port}", "--region", S3Server.region]
        command += ["--keep-alive", "posix", str(self._buckets)]
        process = Process(command, self._directory, environment=environment)
        _begun(process, self.port)
        return process

    def make_bucket(self) -> None:
        # A directory below the root is one.
        (self._buckets / S3Server.bucket).mkdir(exist_ok=True)

    @property
    def _buckets(self) -> Path:
        return self._directory / "objects"


class _SeaweedFs:
    """SeaweedFS, all parts of it in one process."""

    def __init__(self, directory: Path, listens_at: str) -> None:
        self.port = reserve_port()
        self._listens_at = listens_at
        self._directory = directory
        program = shutil.which("weed")
        if program is None:
            pytest.fail("CRPROXY_TEST_S3=seaweedfs, and there is no weed on PATH", pytrace=False)
        self._program = program
        names = ["master", "volume", "filer"]
        self._ports = {f"{name}.port{kind}": reserve_port() for name in names for kind in ("", ".grpc")}
        self._ports["s3.port.grpc"] = reserve_port()
        identity = {
            "name": "owner",
            "credentials": [{"accessKey": S3Server.access_key_id, "secretKey": S3Server.secret_access_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        self._configuration = directory / "s3.json"
        self._configuration.write_text(json.dumps({"identities": [identity]}))

    def start(self) -> Process:
        data = self._directory / "objects"
        data.mkdir(exist_ok=True)
        options = {
            "dir": data,
            "ip": "127.0.0.1",
            "ip.bind": self._listens_at,
            **self._ports,
            "master.volumeSizeLimitMB": 64,
            # Else it takes half a minute until the only one there is leads again.
            "master.electionTimeout": "1s",
            "master.heartbeatInterval": "200ms",
            "volume.max": 100,
            "volume.preStopSeconds": 0,
            "s3": "true",
            "s3.port": self.port,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": self._configuration,
            "s3.autoCreateBucket": "false",
        }
        process = Process(
            [self._program, "server", *(f"-{name}={value}" for name, value in options.items())], self._directory
        )
        _begun(process, self._ports["filer.port"])
        _begun(process, self.port)
        self._wait_until_it_takes(process)
        return process

    def make_bucket(self) -> None:
        # A directory below /buckets is one.
        self._ask_filer("POST", f"/buckets/{S3Server.bucket}/")

    def _wait_until_it_takes(self, process: Process) -> None:
        """Wait until its parts have found each other: until then it listens, and takes nothing."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self._takes():
            assert time.monotonic() < deadline, f"it takes nothing; its log:\n{process.log[-5000:]}"
            time.sleep(0.1)

    def _takes(self) -> bool:
        try:
            # More than what is kept within the name alone.
            self._ask_filer("PUT", "/probe", b"x" * 10_000)
        except (OSError, urllib.error.HTTPError):
            return False
        return True

    def _ask_filer(self, method: str, path: str, body: bytes | None = None) -> None:
        url = f"http://127.0.0.1:{self._ports['filer.port']}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=10):
            pass


_SERVERS: dict[str, Callable[[Path, str], _VersityGw | _SeaweedFs]] = {"versitygw": _VersityGw, "seaweedfs": _SeaweedFs}


def _begun(process: Process, port: int) -> None:
    try:
        wait_until_listening(port, process, _READY_SECONDS)
    except BaseException:
        process.stop()
        raise
