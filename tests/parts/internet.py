"""A network of a test's own in which every address of the world is this machine's, and the kernel counts connections.

Linux delivers to whoever listens here what is sent to any address at all. So a server sees which address somebody
connected to that was never meant to be reached, whatever made it think that it may.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .node import Node
from .requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Internet"]

_SETUP = (
    '"$0" link set lo up && "$0" route add local 0.0.0.0/0 dev lo && "$0" -6 route add local ::/0 dev lo && '
    "echo ready && exec cat"
)
_RESOLVER = "127.0.0.53"
_CLONE_NEWNET = 0x40000000
_BACKLOG = 256


class Internet:
    """A network namespace; leaving the ``with`` block ends it.

    Arguments:
        directory: for the files that programs there resolve names by.
        authority: whom they trust, a file in PEM.
    """

    def __init__(self, directory: Path, authority: Path) -> None:
        need_root("a network of a test's own")
        # It lives as long as the shell that made it, which lives as long as its standard input.
        self._holder = subprocess.Popen(
            [need("unshare"), "--net", "sh", "-c", _SETUP, need("ip")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        assert said == "ready\n", said + self._holder.stdout.read()
        self.node = _Inside.make_there(directory, authority, self._holder.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate("")

    def listener(self, port: int) -> socket.socket:
        """Return a socket that accepts connections to ``port`` of every address, IPv4's and IPv6's."""
        return self._inside(lambda: _listen(port))

    def resolver(self) -> socket.socket:
        """Return the socket of the server that programs there ask for names: UDP, port 53."""
        return self._inside(_bind_resolver)

    def opened(self) -> int:
        """Return how many TCP connections were begun there so far (RFC 4022, tcpActiveOpens), whoever answered."""
        names, values = (
            line.split()
            for line in Path(f"/proc/{self._holder.pid}/net/snmp").read_text().splitlines()
            if line.startswith("Tcp:")
        )
        return int(dict(zip(names, values, strict=True))["ActiveOpens"])

    def _inside(self, make: Callable[[], socket.socket]) -> socket.socket:
        """Return what ``make`` makes in the namespace. A socket stays where it was made, whoever uses it."""
        made: list[socket.socket] = []
        entered = threading.Thread(target=lambda: made.append(_enter(self._holder.pid, make)))
        entered.start()
        entered.join()
        return made[0]


@dataclass(frozen=True, slots=True)
class _Inside(Node):
    """A machine in the namespace that ``process`` is in."""

    process: int = 0

    @classmethod
    def make_there(cls, directory: Path, authority: Path, process: int) -> _Inside:
        (directory / "hosts").write_text("127.0.0.1 localhost\n")
        (directory / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        (directory / "resolv.conf").write_text(f"nameserver {_RESOLVER}\noptions timeout:1 attempts:1\n")
        return cls(directory, authority, process)

    def command(self, command: Sequence[str]) -> list[str]:
        assert self.etc is not None
        names = ["hosts", "nsswitch.conf", "resolv.conf"]
        mounts = " && ".join(f'mount --bind "{self.etc}/{name}" /etc/{name}' for name in names)
        entered = [need("nsenter"), f"--net=/proc/{self.process}/ns/net", need("unshare"), "--mount"]
        return [*entered, "sh", "-c", f'{mounts} && exec "$@"', "sh", *command]


def _enter(process: int, make: Callable[[], socket.socket]) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(f"/proc/{process}/ns/net", os.O_RDONLY)
    try:
        # For this thread alone, which ends with it (setns(2)).
        if libc.setns(namespace, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        return make()
    finally:
        os.close(namespace)


def _listen(port: int) -> socket.socket:
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)


def _bind_resolver() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((_RESOLVER, 53))
    return bound
