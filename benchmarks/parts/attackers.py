"""Clients that only hold connections, over TLS and from many addresses: a process of its own.

Slow ones send a header byte by byte; idle ones ask once and then nothing. Each connects again when it is cut off.
It writes a line when all of them stand, and another with what happened when its standard input ends.
"""

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

__all__ = ["Attack", "Outcome"]

# From 127.0.0.2 on: a proxy that limits connections per client must not be what saves it.
ADDRESSES = 16
# Seconds between two bytes of a header.
TRICKLE_SECONDS = 1.0
# As many handshakes at a time, so that none of them times out.
AT_ONCE = 50
PATIENCE = 120


@dataclass
class Outcome:
    """What happened to them so far.

    Arguments:
        slow, idle: that stand now.
        cut: how often one was cut off and came back.
    """

    slow: int = 0
    idle: int = 0
    cut: int = 0


class Attack:
    """Attackers at work; leaving the ``with`` block ends them.

    Arguments:
        port: of 127.0.0.1, where TLS is spoken.
        name: that they ask for.
        authority: whom they trust, a file in PEM.
        slow, idle: how many.
    """

    def __init__(self, port: int, name: str, authority: Path, slow: int, idle: int) -> None:
        self.outcome = Outcome()
        numbers = [str(number) for number in (port, slow, idle)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, name, str(authority), *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Wait until all of them stand."""
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"the attackers gave up: {self._process.wait(PATIENCE)}")
        return self

    def __exit__(self, *_: object) -> None:
        said = self._process.communicate(timeout=PATIENCE)[0]
        self.outcome = Outcome(**json.loads(said))


class _Attackers:
    def __init__(self, name: str, authority: str, port: int) -> None:
        self.outcome = Outcome()
        self._name = name
        self._port = port
        self._context = ssl.create_default_context(cafile=authority)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def slow(self, number: int) -> None:
        async with self._connected(number) as (_, writer):
            writer.write(f"GET /v2/ HTTP/1.1\r\nHost: {self._name}\r\nX-Slow: ".encode())
            self.outcome.slow += 1
            try:
                while True:
                    await asyncio.sleep(TRICKLE_SECONDS)
                    writer.write(b"x")
                    await writer.drain()
            finally:
                self.outcome.slow -= 1

    async def idle(self, number: int) -> None:
        async with self._connected(number) as (reader, writer):
            writer.write(f"GET /v2/ HTTP/1.1\r\nHost: {self._name}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n{}")
            self.outcome.idle += 1
            try:
                await reader.read()
            finally:
                self.outcome.idle -= 1

    @contextlib.asynccontextmanager
    async def _connected(self, number: int):  # type: ignore[no-untyped-def]  # asyncio's pair
        async with self._turns:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                self._port,
                ssl=self._context,
                server_hostname=self._name,
                local_addr=(f"127.0.0.{2 + number % ADDRESSES}", 0),
            )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def again_and_again(self, kind: str, number: int) -> None:
        work = self.slow if kind == "slow" else self.idle
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await work(number)
            self.outcome.cut += 1


async def _attack(name: str, authority: str, port: int, slow: int, idle: int) -> Outcome:
    attackers = _Attackers(name, authority, port)
    kinds = [("slow", number) for number in range(slow)] + [("idle", number) for number in range(idle)]
    at_work = [asyncio.create_task(attackers.again_and_again(kind, number)) for kind, number in kinds]
    # Some slow ones are cut off and on their way back at any time.
    async with asyncio.timeout(PATIENCE):
        while attackers.outcome.idle < idle or attackers.outcome.slow < 0.9 * slow:
            await asyncio.sleep(0.1)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    outcome = Outcome(**asdict(attackers.outcome))
    for task in at_work:
        task.cancel()
    await asyncio.gather(*at_work, return_exceptions=True)
    return outcome


def _main(name: str, authority: str, *numbers: str) -> Iterator[str]:
    port, slow, idle = map(int, numbers)
    yield json.dumps(asdict(asyncio.run(_attack(name, authority, port, slow, idle))))


if __name__ == "__main__":
    for line in _main(*sys.argv[1:]):
        print(line, flush=True)
