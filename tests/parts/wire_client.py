"""A client that keeps its connection, sends what it is told, and takes nothing for an answer that is none."""

from __future__ import annotations

import asyncio
import contextlib
import re

from .wire import Incomplete, Malformed, WireAnswer, read_answers

__all__ = ["WireClient"]

_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: chunked\r\n", re.IGNORECASE)
_BODILESS = re.compile(rb"HTTP/1\.1 (?:1..|204|304)")
_CHUNK = re.compile(rb"[0-9a-f]{1,8}\r\n")
# What fits a length in bytes, of files and of Go's clients (int64).
_LONGEST = (1 << 63) - 1


class WireClient:
    """Asks one thing after the other.

    Arguments:
        address: of the server.
        patience: how many seconds it waits for anything.
    """

    def __init__(self, address: tuple[str, int], patience: float) -> None:
        self._address = address
        self._patience = patience
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, target: str, *fields: str, leaves: bool = False) -> WireAnswer | None:
        """Return the answer; None where the connection was ended in the middle of it.

        Arguments:
            fields: of the header, but for Host.
            leaves: does not wait for it.

        Raises:
            Malformed: this is no answer.
            TimeoutError: none came.
        """
        async with asyncio.timeout(self._patience):
            if self._ends is None:
                self._ends = await asyncio.open_connection(*self._address, limit=1 << 20)
            reader, writer = self._ends
            head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *fields, "", ""])
            writer.write(head.encode())
            if leaves:
                await self.leave()
                return None
            return await self._read(reader, method)

    async def leave(self) -> None:
        """Close the connection, if there is one."""
        if self._ends is not None:
            _, writer = self._ends
            self._ends = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader, method: str) -> WireAnswer | None:
        data = bytearray()
        try:
            header = await reader.readuntil(b"\r\n\r\n")
            data += header
            if method != "HEAD" and not _BODILESS.match(header):
                await _read_body(reader, header, data)
        except asyncio.IncompleteReadError as error:
            data += error.partial
            await self.leave()
        except OSError:
            await self.leave()
        ended = self._ends is None
        try:
            answers = read_answers(bytes(data), (method.encode(),), ended=False, relayed=True)
        except Incomplete:
            if not ended:
                raise
            return None
        if not answers:
            return None
        if "close" in answers[0].all("connection"):
            await self.leave()
        return answers[0]


async def _read_body(reader: asyncio.StreamReader, header: bytes, data: bytearray) -> None:
    length = _LENGTH.search(header)
    if length is not None:
        if int(length[1]) > _LONGEST:
            raise Malformed(f"a length of {length[1][:50]!r}")
        data += await reader.readexactly(int(length[1]))
    elif _CHUNKED.search(header):
        size = -1
        while size:
            line = await reader.readuntil(b"\r\n")
            data += line
            if not _CHUNK.fullmatch(line):
                raise Malformed(f"no chunk: {line[:50]!r}")
            size = int(line, 16)
            data += await reader.readexactly(size + 2)
