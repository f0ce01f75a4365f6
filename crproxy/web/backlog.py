"""How much of what was written a client has not taken yet. Knows sockets; knows nothing of requests."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

from ..transports.stream import Stream

__all__ = ["backlog"]

# How many wrappers may be around a connection: TLS is one.
_WRAPPERS = 3


def backlog(transport: Any) -> tuple[int, int] | None:
    """Return the bytes that wait here, and those in the kernel that the client has not acknowledged.

    Any change tells that the client takes something. That the transport takes more from us does not tell it soon: the
    kernel holds megabytes, and asks for more when a third of them are gone, which takes minutes at a modem's pace.

    None where it cannot be seen.
    """
    for _ in range(_WRAPPERS):
        handle = transport.getHandle() if hasattr(transport, "getHandle") else None
        if isinstance(handle, socket.socket):
            return _waiting(transport), _unacknowledged(handle)
        transport = getattr(transport, "transport", None)
    return None


def _waiting(transport: Any) -> int:
    """Return what the connection holds, ours or one of Twisted's."""
    if isinstance(transport, Stream):
        return transport.queued
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)


def _unacknowledged(handle: socket.socket) -> int:
    """Ask the kernel (tcp(7), SIOCOUTQ; unix(7) has it, too)."""
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(handle.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    except OSError:
        return 0
    return int(count)
