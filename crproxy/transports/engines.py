"""What moves bytes between memory and a socket: the kernel alone, or the TLS library on top of it.

Never blocks. The socket is non-blocking, and stays the caller's.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Protocol

__all__ = ["PIECE", "Engine", "PlainEngine", "TLSEngine"]

# Bytes that are handed to the TLS library at once: four records. What a socket refuses of it is kept in memory.
PIECE = 64 * 1024

# Records that are received at once: 16 fill the largest buffer, and each takes some microseconds.
_RECORDS = 64

# Every file on its way out passes here, in one thread: nothing of it outlives a call.
_FILE = bytearray(PIECE)
_FILE_VIEW = memoryview(_FILE)

# Of sendfile(2): the socket's errors. Every other one is the file's.
_SOCKET_ERRORS = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNABORTED})


class Engine(Protocol):
    """Moves bytes. ``ended``: the peer has said that it sends no more."""

    ended: bool

    def send(self, data: bytes | memoryview) -> int:
        """Return how many of the bytes were taken; 0 when none can be now, and then the same must come again.

        Raises:
            OSError: the connection is broken.
        """

    def receive(self, into: memoryview) -> int:
        """Return how many bytes were put ``into`` that; 0 when there are none now, or ``ended``.

        Raises:
            OSError: the connection is broken.
        """

    def send_file(self, fd: int, offset: int, count: int) -> tuple[int, bytes]:
        """Send bytes of a file; return how many were taken, and what was read beyond that, to be sent again.

        Raises:
            EOFError: the file ends at ``offset``.
            BrokenPipeError: the connection is broken.
            OSError: the file cannot be read.
        """

    def pending(self) -> int:
        """Return how many bytes can be received that the kernel does not tell of."""

    @property
    def wants_read(self) -> bool:
        """Whether sending goes on only after something was received."""

    @property
    def wants_write(self) -> bool:
        """Whether receiving goes on only when something can be sent."""


class PlainEngine:
    """Bytes as they are (Engine)."""

    wants_read = False
    wants_write = False

    def __init__(self, sock: socket.socket) -> None:
        self.ended = False
        self._socket = sock

    def send(self, data: bytes | memoryview) -> int:
        """Send (Engine)."""
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def receive(self, into: memoryview) -> int:
        """Receive (Engine)."""
        try:
            count = self._socket.recv_into(into)
        except (BlockingIOError, InterruptedError):
            return 0
        self.ended = not count
        return count

    def send_file(self, fd: int, offset: int, count: int) -> tuple[int, bytes]:
        """Have the kernel send it, through no buffer of ours (Engine)."""
        try:
            sent = os.sendfile(self._socket.fileno(), fd, offset, count)
        except (BlockingIOError, InterruptedError):
            return 0, b""
        except OSError as error:
            if error.errno in _SOCKET_ERRORS:
                raise BrokenPipeError(error.errno, os.strerror(error.errno or 0)) from None
            raise
        if not sent:
            raise EOFError(f"the file ends at byte {offset}")
        return sent, b""

    def pending(self) -> int:
        """Return 0: the kernel tells of everything (Engine)."""
        return 0


class TLSEngine:
    """Bytes in TLS (Engine): the interpreter's library reads from the socket and writes to it by itself.

    Arguments:
        sock: connected, and ours from here on.
        context: with a certificate, for a server.
        server_hostname: who is connected to, for a client; None for a server.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        self.ended = False
        self.wants_read = False
        self.wants_write = False
        self.socket = context.wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            server_hostname=server_hostname,
        )

    def shake_hands(self) -> bool:
        """Go on with the handshake; tell whether it is over. Raises OSError."""
        self.wants_read = self.wants_write = False
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self.wants_read = True
        except ssl.SSLWantWriteError:
            self.wants_write = True
        else:
            return True
        return False

    def send(self, data: bytes | memoryview) -> int:
        """Send (Engine)."""
        try:
            return self.socket.write(data)
        except ssl.SSLWantWriteError:
            return 0
        except ssl.SSLWantReadError:
            self.wants_read = True
            return 0

    def receive(self, into: memoryview) -> int:
        """Receive whole records, as long as there are some, and not too many: each may hold one byte (Engine)."""
        count, size, read = 0, len(into), self.socket.read
        self.wants_read = self.wants_write = False
        try:
            for _ in range(_RECORDS):
                if count == size:
                    break
                # With a buffer to fill it returns a number.
                got = int(read(size - count, into[count:] if count else into))
                if not got:
                    self.ended = True
                    break
                count += got
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            self.wants_write = True
        except ssl.SSLZeroReturnError:
            self.ended = True
        except OSError:
            # What came before that counts; it is raised again when nothing else is left.
            if not count:
                raise
        return count

    def send_file(self, fd: int, offset: int, count: int) -> tuple[int, bytes]:
        """Read a piece and send it (Engine)."""
        view = _FILE_VIEW if count >= PIECE else _FILE_VIEW[:count]
        got = os.preadv(fd, (view,), offset)
        if not got:
            raise EOFError(f"the file ends at byte {offset}")
        piece = view if got == len(view) else view[:got]
        try:
            sent = self.send(piece)
        except OSError as error:
            raise BrokenPipeError(errno.EPIPE, str(error)) from None
        return sent, bytes(piece[sent:]) if sent < got else b""

    def pending(self) -> int:
        """Return the bytes of a record that was received in part (Engine)."""
        return self.socket.pending()

    def close_notify(self) -> bool:
        """Say that nothing more is sent (RFC 8446, 6.1); tell whether that is out. What goes wrong is no matter now."""
        try:
            self.socket.unwrap()
        except ssl.SSLWantWriteError:
            return False
        except (OSError, ValueError):
            # SSLWantReadError among them: it is out, and the peer has not said the same yet.
            pass
        return True
