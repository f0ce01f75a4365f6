"""A network of a test's own in which every address of the world is this machine's, and the kernel counts connections.

Linux delivers to whoever listens here what is sent to any address at all. So a server sees which address somebody
connected to that was never meant to be reached, whatever made it think that it may.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .namespaces import Namespace
from .node import Node
from .requirements import need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

__all__ = ["Internet"]

_SETUP = '"$0" link set lo up && "$0" route add local 0.0.0.0/0 dev lo && "$0" -6 route add local ::/0 dev lo'
_RESOLVER = "127.0.0.53"
_BACKLOG = 256


class Internet:
    """A network namespace; leaving the ``with`` block ends it.

    Arguments:
        directory: for the files that programs there resolve names by.
        authority: whom they trust, a file in PEM.
    """

    def __init__(self, directory: Path, authority: Path) -> None:
        self._namespace = Namespace(_SETUP)
        self.node = _Inside.make_there(directory, authority, self._namespace)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._namespace.__exit__()

    def listener(self, port: int) -> socket.socket:
        """Return a socket that accepts connections to ``port`` of every address, IPv4's and IPv6's."""
        with self._namespace.entered():
            return _listen(port)

    def resolver(self) -> socket.socket:
        """Return the socket of the server that programs there ask for names: UDP, port 53."""
        with self._namespace.entered():
            return _bind_resolver()

    def entered(self) -> AbstractContextManager[None]:
        """Have this thread be there within a ``with`` block: see `Namespace.entered`. Any address is its own."""
        return self._namespace.entered()

    def opened(self) -> int:
        """Return how many TCP connections were begun there so far (RFC 4022, tcpActiveOpens), whoever answered."""
        names, values = (
            line.split()
            for line in Path(f"/proc/{self._namespace.pid}/net/snmp").read_text().splitlines()
            if line.startswith("Tcp:")
        )
        return int(dict(zip(names, values, strict=True))["ActiveOpens"])


@dataclass(frozen=True, slots=True)
class _Inside(Node):
    """A machine in a namespace."""

    entering: tuple[str, ...] = ()

    @classmethod
    def make_there(cls, directory: Path, authority: Path, namespace: Namespace) -> _Inside:
        (directory / "hosts").write_text("127.0.0.1 localhost\n")
        (directory / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        (directory / "resolv.conf").write_text(f"nameserver {_RESOLVER}\noptions timeout:1 attempts:1\n")
        return cls(directory, authority, tuple(namespace.command))

    def command(self, command: Sequence[str]) -> list[str]:
        assert self.etc is not None
        names = ["hosts", "nsswitch.conf", "resolv.conf"]
        mounts = " && ".join(f'mount --bind "{self.etc}/{name}" /etc/{name}' for name in names)
        return [*self.entering, need("unshare"), "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", *command]


def _listen(port: int) -> socket.socket:
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)


def _bind_resolver() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((_RESOLVER, 53))
    return bound
