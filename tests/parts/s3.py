"""A real S3 server: versitygw, which keeps objects as files, so that a test can look at them, spoil them, lose them."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from .ports import reserve_port, wait_until_listening
from .process import Process, clean_environment
from .requirements import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["S3Server"]


class S3Server:
    """A running S3 server with one bucket; leaving the ``with`` block stops it. What it keeps stays in ``directory``.

    Arguments:
        directory: for its objects and its log.
        port: where it listens; a free one otherwise.
        host: by which it is reached, if not from this machine alone: then it listens at every address.
    """

    region = "us-east-1"
    access_key_id = "tester"
    secret_access_key = "test-secret-of-nobody"
    bucket = "crproxy"

    def __init__(self, directory: Path, *, port: int | None = None, host: str | None = None) -> None:
        self.port = port or reserve_port()
        self.endpoint = f"http://{host or '127.0.0.1'}:{self.port}"
        self._listens_at = f"{'127.0.0.1' if host is None else '0.0.0.0'}:{self.port}"
        self.objects = directory / "objects" / self.bucket
        self._directory = directory
        # A directory below the root is a bucket.
        self.objects.mkdir(parents=True, exist_ok=True)
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    @property
    def log(self) -> str:
        """A line for each request, since it was started last."""
        return self._process.log

    def kill(self) -> None:
        """End it at once: connections break, and nobody listens there any more."""
        self._process.kill()

    def start_again(self) -> None:
        """Start it at the same address, with what it had kept."""
        self._process = self._start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it do nothing within the block: connections stand, and nothing comes of them."""
        self._process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.signal(signal.SIGCONT)

    def _start(self) -> Process:
        environment = clean_environment(
            self._directory, ROOT_ACCESS_KEY_ID=self.access_key_id, ROOT_SECRET_ACCESS_KEY=self.secret_access_key
        )
        command = [need("versitygw"), "--port", self._listens_at, "--region", self.region]
        command += ["--keep-alive", "posix", str(self.objects.parent)]
        process = Process(command, self._directory, environment=environment)
        try:
            wait_until_listening(self.port, process)
        except BaseException:
            process.stop()
            raise
        return process
