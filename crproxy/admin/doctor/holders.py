"""Which program listens at a port of this machine: as the kernel tells in /proc, to whom it tells that."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...policy.endpoints import Endpoint

__all__ = ["Holder", "Listening", "find_holder", "listening"]

_PROC = Path("/proc")
# TCP_LISTEN (net/tcp_states.h)
_LISTENS = "0A"
_TABLES = ("net/tcp", "net/tcp6")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens somewhere.

    Arguments:
        pid: its number.
        program: its name (comm).
        command: the words that it was started with.
    """

    pid: int
    program: str
    command: tuple[str, ...] = ()

    @property
    def is_crproxy(self) -> bool:
        """Tell whether it is a crproxy, by what it was started with."""
        return any("crproxy" in word for word in self.command)

    def __str__(self) -> str:
        return f"{self.program} (process {self.pid})"


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that listens, as the kernel's table has it."""

    address: Address
    port: int
    inode: int


def find_holder(endpoint: Endpoint, proc: Path = _PROC) -> Holder | None:
    """Return who listens at ``endpoint``; None where nobody does, or it is not for us to see.

    Arguments:
        proc: where proc(5) is mounted.
    """
    if not endpoint.port:
        return None
    inodes = {socket.inode for socket in _sockets(proc) if _overlaps(socket, endpoint)}
    return next(_holders(inodes, proc), None) if inodes else None


def listening(table: str) -> Iterator[Listening]:
    """Yield what listens, by a table such as /proc/net/tcp (proc_pid_net(5))."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTENS:
            address, _, port = fields[1].partition(":")
            yield Listening(_address(address), int(port, 16), int(fields[9]))


def _address(digits: str) -> Address:
    """Return an address that is written as the words of memory that it is in."""
    words = (digits[at : at + 8] for at in range(0, len(digits), 8))
    packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _overlaps(socket: Listening, endpoint: Endpoint) -> bool:
    """Tell whether ``socket`` keeps others from ``endpoint``: who has every address has each of them."""
    if socket.port != endpoint.port:
        return False
    try:
        wanted = ipaddress.ip_address(endpoint.interface)
    except ValueError:
        # Every address, or a name.
        return True
    everywhere = socket.address.is_unspecified and socket.address.version >= wanted.version
    return wanted.is_unspecified or everywhere or socket.address == wanted


def _sockets(proc: Path) -> Iterator[Listening]:
    for name in _TABLES:
        try:
            yield from listening((proc / "self" / name).read_text("ascii", "replace"))
        except OSError:
            # There is no IPv6, or no such table for us.
            continue


def _holders(inodes: set[int], proc: Path) -> Iterator[Holder]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in sorted((one for one in proc.iterdir() if one.name.isdecimal()), key=lambda one: int(one.name)):
        try:
            if any(os.readlink(link) in wanted for link in (process / "fd").iterdir()):  # noqa: PTH115 - no path
                command = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                yield Holder(int(process.name), (process / "comm").read_text().strip(), tuple(filter(None, command)))
        except OSError:
            # It has ended meanwhile, or is not for us to see.
            continue
