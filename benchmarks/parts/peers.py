"""Peers that are named on the command line, to stand in the same table."""

import argparse
import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.parts.ports import reserve_port

from .certificates import HOST, Certificate
from .meter import Meter
from .servers import Server, running

__all__ = ["HELP", "Peer", "PeerError"]

HELP = (
    "another cache to be measured beside the others, by the command that starts it in the foreground, or by the URL of "
    "one that runs on this machine. In a command {port} is where it is to listen on 127.0.0.1, {upstream} the host and "
    "port of the registry that it is a cache of, in the clear, {directory} an empty one; where {certificate} and {key} "
    "are in it, it is asked by TLS. Behind a URL may stand what it wants in front of a repository, and behind a # the "
    "file with the authority of its certificate: http://127.0.0.1:8080/mirror, https://cache.test:8443#/tmp/ca.pem. "
    "Repeatable"
)
_LISTENING = "0A"


class PeerError(argparse.ArgumentTypeError):
    """No peer can be made of it; the text says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them.

    Arguments:
        name: its column.
        started_by: the command, or the URL.
    """

    name: str
    started_by: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NAME=COMMAND` or `NAME=URL`. Raises PeerError."""
        name, equals, started_by = text.partition("=")
        if not (name and equals and started_by.strip()):
            raise PeerError(f"{text!r} names no peer: write NAME=COMMAND or NAME=URL")
        return cls(name, started_by)

    @property
    def runs_already(self) -> bool:
        """Whether it is nobody's here to start, and so has kept what it has seen."""
        return self.started_by.startswith(("http://", "https://"))

    @contextlib.contextmanager
    def start(self, directory: Path, upstream: str, certificate: Certificate) -> Iterator[Server]:
        """Run it, in `directory`, for one `with` block. Raises PeerError."""
        if self.runs_already:
            yield self._found()
            return
        directory.mkdir()
        port = reserve_port()
        filled = {
            "port": port,
            "upstream": upstream,
            "directory": directory,
            "certificate": certificate.chain,
            "key": certificate.key,
        }
        try:
            command = [part.format(**filled) for part in shlex.split(self.started_by)]
        except (KeyError, IndexError, ValueError) as error:
            raise PeerError(f"{self.name}: {error} in {self.started_by!r}; there are {', '.join(filled)}") from None
        shown = certificate if "{certificate}" in self.started_by else None
        with running(self.name, command, port, directory, shown) as server:
            yield server

    def _found(self) -> Server:
        url = urlsplit(self.started_by)
        is_secure = url.scheme == "https"
        port = url.port or (443 if is_secure else 80)
        if is_secure and not url.fragment:
            raise PeerError(f"{self.name}: write the file with the authority of its certificate behind a #")
        authority = Path(url.fragment) if is_secure else None
        prefix = url.path.strip("/")
        meter = Meter(_who_listens(port))
        return Server(
            self.name, port, meter, authority, host=url.hostname or HOST, prefix=f"{prefix}/" if prefix else ""
        )


def _who_listens(port: int) -> int:
    """Return the process that accepts connections on a port of this machine: of several, the first (proc(5))."""
    inodes = {
        fields[9]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path("/proc/net", table).read_text().splitlines()[1:])
        if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port
    }
    for directory in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        with contextlib.suppress(OSError):
            for descriptor in (directory / "fd").iterdir():
                target = str(descriptor.readlink())
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    return int(directory.name)
    raise PeerError(f"nobody listens on port {port} of this machine, or none whose CPU time may be read")
