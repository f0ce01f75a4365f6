"""One connection of a scripted upstream: requests read from the wire, answers sent with all that goes wrong.

A thread and a plain socket. What to answer is for someone else to say.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from .answers import Answer, Cut, Framing, Request, Stall

if TYPE_CHECKING:
    import ssl

    from .ledger import Exchange, Ledger

__all__ = ["Connection"]

Choose = Callable[[Request], Answer]

# Clients that try TLS first on an insecure registry send a ClientHello: hang up on it, as on the end of the stream.
_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r\n")


class _Over(Exception):
    """Nothing more is sent or read on this connection."""


class Connection(threading.Thread):
    """Serves the requests of one accepted socket until either side ends it.

    Arguments:
        accepted: the socket.
        tls: to speak TLS on it.
        ledger: where all that happens is entered.
        choose: gives the answer to a request.
    """

    def __init__(self, accepted: socket.socket, tls: ssl.SSLContext | None, ledger: Ledger, choose: Choose) -> None:
        super().__init__(daemon=True)
        self._socket = accepted
        self._tls = tls
        self._ledger = ledger
        self._choose = choose
        self._number = ledger.accept()

    def end(self) -> None:
        """Close the connection, whatever it is doing, and wait until its thread has ended."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.join()

    def run(self) -> None:
        try:
            if self._tls is not None:
                # Python's closes no socket whose peer is gone before it says a word.
                if not self._socket.recv(1, socket.MSG_PEEK):
                    raise _Over
                self._socket = self._tls.wrap_socket(self._socket, server_side=True)
            with self._socket.makefile("rb") as reader:
                while (request := self._read_request(reader)) is not None:
                    self._serve(request)
        except (OSError, _Over):
            pass
        finally:
            self._socket.close()
            self._ledger.close(self._number)

    def _read_request(self, reader: BinaryIO) -> Request | None:
        first = _REQUEST_LINE.fullmatch(reader.readline())
        if first is None:
            return None
        lines = []
        while (line := reader.readline()) not in (b"\r\n", b""):
            lines.append(line.decode("latin-1").removesuffix("\r\n"))
        request = Request(first[1].decode(), first[2].decode("latin-1"), tuple(lines), self._number)
        for length in request.values("Content-Length"):
            reader.read(int(length))
        return request

    def _serve(self, request: Request) -> None:
        exchange = self._ledger.receive(request)
        answer = self._choose(request)
        if isinstance(answer.fault, Stall) and answer.fault.at is None:
            self._wait_at(answer.fault)
        self._socket.sendall(answer.head())
        try:
            if request.method != "HEAD" and answer.status not in (204, 304):
                self._send_body(exchange, answer)
        finally:
            self._ledger.finish(exchange)
        if answer.framing is Framing.CLOSE:
            raise _Over

    def _send_body(self, exchange: Exchange, answer: Answer) -> None:
        begun = time.monotonic()
        for piece in answer.pieces():
            if answer.rate is not None:
                self._wait_until(begun + exchange.sent / answer.rate)
            rest = piece
            if answer.fault is not None and answer.fault.at is not None:
                before = answer.fault.at - exchange.sent
                if 0 <= before <= len(piece):
                    self._send(exchange, piece[:before], answer.framing)
                    self._suffer(answer.fault)
                    rest = piece[before:]
            self._send(exchange, rest, answer.framing)
        if answer.framing is Framing.CHUNKED:
            self._socket.sendall(b"0\r\n\r\n")

    def _send(self, exchange: Exchange, piece: bytes, framing: Framing) -> None:
        if not piece:
            return
        if framing is Framing.CHUNKED:
            self._socket.sendall(b"%x\r\n" % len(piece))
        left = memoryview(piece)
        while left:
            count = self._socket.send(left)
            self._ledger.send(exchange, count)
            left = left[count:]
        if framing is Framing.CHUNKED:
            self._socket.sendall(b"\r\n")

    def _suffer(self, fault: Cut | Stall) -> None:
        if isinstance(fault, Stall):
            self._wait_at(fault)
            return
        if fault.reset:
            # To linger for no time is to discard what is unsent and send RST (socket(7), SO_LINGER).
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Over

    def _wait_until(self, moment: float) -> None:
        """Wait until ``moment`` by the monotonic clock, unless the other side ends the connection before."""
        left = moment - time.monotonic()
        if left > 0 and select.select([self._socket.fileno()], [], [], left)[0]:
            raise _Over

    def _wait_at(self, stall: Stall) -> None:
        gate = stall.gate.fileno()
        if gate < 0:  # closed: its test is over
            return
        ready, _, _ = select.select([self._socket.fileno(), gate], [], [])
        if gate not in ready:
            raise _Over
