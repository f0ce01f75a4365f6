"""A registry that lies, in a process of its own, so that what it costs is not the test's; one of its ports is honest.

    python -m tests.parts.hostile_registry SEED PATIENCE

The lies are those of `tests.parts.lies`; which one an answer has follows from the seed, from the number in the
repository's name, and from how often that number was asked before. It says its ports on its first line. The honest port
tells at ``/figures`` how many answers the other one has given, and how many had which lie.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Self

from tests.parts.lies import Asked, End, Plan, make_plan, make_sound_plan
from tests.parts.process import Process
from tests.parts.raw_http import ask

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HostileRegistry"]

_ROOT = Path(__file__).parent.parent.parent
_LONGEST_REQUEST = 256 * 1024
# Nobody without credentials is given what is in repositories of this letter.
_SECRET = "s"


class HostileRegistry:
    """That process; leaving the ``with`` block ends it.

    Arguments:
        seed: the same one has the same lies.
        patience: the seconds after which whoever waits for it has certainly given up.
    """

    def __init__(self, seed: int, patience: float) -> None:
        command = [sys.executable, "-m", __name__, str(seed), str(patience)]
        self._process = Process(command, _ROOT)
        try:
            found = self._process.wait_for(r"lies at (\d+), honest at (\d+)")
        except BaseException:
            self._process.stop()
            raise
        self.port = int(found[1])
        self.honest = ("127.0.0.1", int(found[2]))
        self.url = f"http://127.0.0.1:{found[1]}"
        self.honest_url = f"http://127.0.0.1:{found[2]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stop() == 0, self._process.log
        assert "Traceback" not in self._process.log, self._process.log

    def answers(self) -> Counter[str]:
        """Return how many answers there were with each lie; all of them are under ``""``."""
        return Counter(json.loads(ask(self.honest, "GET", "/figures").body))


class _Liar:
    """Decides what is answered."""

    def __init__(self, seed: int, patience: float) -> None:
        self.told: Counter[str] = Counter()
        self._asked: Counter[tuple[str, int]] = Counter()
        self._seed = seed
        self._patience = patience

    def lie(self, asked: Asked) -> Plan:
        """Return some answer."""
        name = asked.letter, asked.number
        plan = make_plan(Random(f"{self._seed}/{asked.number}/{self._asked[name]}"), asked, self._patience)
        self._asked[name] += 1
        self.told.update(("", *plan.names))
        return plan

    def be_honest(self, asked: Asked) -> Plan:
        """Return the right answer."""
        if asked.target == "/figures":
            body = json.dumps(self.told).encode()
            return Plan((), [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)])
        if asked.letter == _SECRET and not asked.authorized:
            head = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
            return Plan((), [head])
        return make_sound_plan(asked)


class _Connection(asyncio.Protocol):
    """Answers one request after the other."""

    _transport: asyncio.Transport

    def __init__(self, answer: Callable[[Asked], Plan]) -> None:
        self._answer = answer
        self._received = b""
        self._going: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (Protocol)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take in requests (Protocol)."""
        self._received += data
        if self._going is None:
            self._go_on()

    def pause_writing(self) -> None:
        """Wait (Protocol)."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on (Protocol)."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End (Protocol)."""
        if self._going is not None:
            self._going.cancel()

    def _go_on(self) -> None:
        while self._going is None and not self._transport.is_closing():
            header, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                if len(header) > _LONGEST_REQUEST:
                    self._transport.abort()
                return
            self._received = rest
            try:
                plan = self._answer(Asked.parse(header + b"\r\n"))
            except ValueError:
                print(f"this is no request: {header[:500]!r}", flush=True)
                self._transport.abort()
                return
            self._perform(plan)

    def _perform(self, plan: Plan) -> None:
        if all(isinstance(step, bytes) for step in plan.steps):
            # Not writelines, which never comes to an end of what is empty (CPython 3.12 and newer).
            self._transport.write(b"".join(step for step in plan.steps if isinstance(step, bytes)))
            return
        self._going = asyncio.ensure_future(self._slowly(plan))
        self._going.add_done_callback(self._over)

    async def _slowly(self, plan: Plan) -> None:
        for step in plan.steps:
            if isinstance(step, bytes):
                self._transport.write(step)
                await self._writable.wait()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step is End.CLOSE:
                self._transport.close()
            else:
                # What is closed without lingering is reset (socket(7), SO_LINGER).
                linger = struct.pack("ii", 1, 0)
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self._transport.abort()

    def _over(self, _: asyncio.Task[None]) -> None:
        self._going = None
        self._go_on()


async def _serve(seed: int, patience: float) -> None:
    loop = asyncio.get_running_loop()
    liar, ended = _Liar(seed, patience), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    servers = [
        await loop.create_server(partial(_Connection, answer), "127.0.0.1", 0, backlog=512)
        for answer in (liar.lie, liar.be_honest)
    ]
    lies, honest = (server.sockets[0].getsockname()[1] for server in servers)
    print(f"lies at {lies}, honest at {honest}", flush=True)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
