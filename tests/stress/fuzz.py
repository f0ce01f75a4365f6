"""Send the daemon whatever a client can send, right and wrong, on many connections at once; look at what comes back.

Every whole request is answered, every connection ends within seconds, every answer is well-formed HTTP, the log tells
of no error that nobody handled, every line of the audit log is one, and the memory is about what it was.

Of the answers that are failures (5xx) one is meant: 503 for images of a registry that is down (AWAY), which names it.
Any other is a finding.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import ssl
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.parts.answers import Answer, Filler
from tests.parts.certificates import Authority
from tests.parts.daemon import TROUBLE, Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.grammar import Conversation, Grammar, World
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.places import REGISTRY
from tests.parts.shapes import error, manifest, ranged
from tests.parts.wire import Incomplete, Malformed, WireAnswer, read_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Figures", "Finding", "Fuzz", "World", "make_world"]

DOMAIN = "cr.test"
AWAY = "away.example.org"
_AT_ONCE = 32
# A whole request is answered within this, and a connection that we have ended is gone.
_PATIENCE = 10.0
# What was damaged may be the beginning of something: so long is waited before we end the connection.
_STILL = 0.25
_BY_TLS = 0.05
# Beyond what it was after the first part: buffers, threads' stacks, and an allocator that does not give all back.
_MORE_MEMORY = 48 << 20
_LAST = b"GET /v2/ HTTP/1.1\r\nHost: cr.test\r\nConnection: close\r\n\r\n"
_MANIFEST = b'{"schemaVersion": 2, "layers": []}'
_LAYER = b"0123456789" * 1000
_TAGS = Answer(headers=(("Link", '</v2/x/tags/list?last=a&n=1>; rel="next"'),), body=b'{"tags": ["a"]}')
_LARGE = Filler(2 << 20)
# What a log has around a traceback.
_EXCERPT = 6000


class Finding(AssertionError):
    """The daemon did what it must not."""


@dataclass(slots=True)
class Figures:
    """What happened."""

    requests: int = 0
    conversations: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    warm: int = 0
    memory: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.requests} requests on {self.conversations} connections in {self.seconds:.0f} s; answers {statuses};"
            f" {self.unanswered} connections ended without one; memory {self.warm >> 20} MiB after the first part,"
            f" {self.memory >> 20} MiB now"
        )


def make_world() -> World:
    """Return what there is to be asked for."""
    return World(
        hosts=(*[DOMAIN] * 6, f"docker.{DOMAIN}", f"{DOMAIN}:443", f"quay.{DOMAIN}", f"nobody.{DOMAIN}"),
        registries=(
            *[REGISTRY] * 8,
            "docker.io",
            "quay.io",
            AWAY,
            "127.0.0.1:5000",
            "10.0.0.1",
            "localhost",
        ),
        repositories=(*["team/app"] * 4, "library/nginx", "nginx", "team/none"),
        digests=(
            *[sha256(_LAYER), sha256(_MANIFEST)] * 4,
            _LARGE.digest,
            "sha256:" + "0" * 64,
            "sha512:" + "0" * 128,
            "sha256:" + "A" * 64,
        ),
        tags=(*["v1"] * 4, "latest", "none", "broken", "a" * 128, "a" * 129, ".x", "-"),
    )


def serve(upstream: FakeUpstream) -> None:
    """Publish the world."""
    for repository in ("team/app", "library/nginx"):
        for reference in ("v1", "latest", sha256(_MANIFEST)):
            upstream.script(f"/v2/{repository}/manifests/{reference}", manifest(_MANIFEST, OCI_MANIFEST))
        upstream.script(f"/v2/{repository}/manifests/broken", error(403, "DENIED"))
        for body in (_LAYER, _MANIFEST, _LARGE):
            digest = body.digest if isinstance(body, Filler) else sha256(body)
            upstream.script(f"/v2/{repository}/blobs/{digest}", ranged(body))
        upstream.script(f"/v2/{repository}/tags/list", _TAGS)
        upstream.script(f"/v2/{repository}/referrers/{sha256(_MANIFEST)}", Answer(body=b'{"manifests": []}'))


class Fuzz:
    """A daemon, and all that is sent to it.

    Arguments:
        directory: for all that is written.
        seed: the same one has the same conversations.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self.figures = Figures()
        self._seed = seed
        self._world = make_world()
        self._authority = Authority(directory)
        self._audit = directory / "audit.log"
        self._directory = directory

    def run(self, requests: int, seconds: float, only: int | None = None) -> None:
        """Send so many requests at the most, for so long; raise Finding.

        Arguments:
            only: the number of the one conversation to repeat.
        """
        with FakeUpstream() as upstream:
            serve(upstream)
            upstreams = {name: Upstream(upstream.url) for name in (REGISTRY, "docker.io")}
            lines = [
                configuration(upstreams, domain=DOMAIN),
                f'[upstreams."{AWAY}"]',
                'endpoint = "http://127.0.0.1:9"',
            ]
            lines += ["retries = 0", "[access]", f"registries = {json.dumps([REGISTRY, 'docker.io', AWAY])}"]
            lines += ["[audit]", f'file = "{self._audit}"', ""]
            certificate = self._authority.issue(DOMAIN)
            with Daemon(self._directory, "\n".join(lines), certificate=certificate) as daemon:
                daemon.wait_for_log(r"proxy\.pem is used")
                try:
                    asyncio.run(self._send(daemon, requests, seconds, only))
                finally:
                    self._check_end(daemon)
        self._check_audit()

    async def _send(self, daemon: Daemon, requests: int, seconds: float, only: int | None) -> None:
        began = time.monotonic()
        numbers: Iterator[int] = iter(range(sys.maxsize) if only is None else [only])
        told = 0

        async def client() -> None:
            nonlocal told
            for number in numbers:
                await self._converse(daemon, number)
                self.figures.seconds = time.monotonic() - began
                if not self.figures.warm and self.figures.requests >= requests // 10:
                    self.figures.warm = daemon.rss_bytes()
                if self.figures.requests // 10_000 > told:
                    told = self.figures.requests // 10_000
                    self.figures.memory = daemon.rss_bytes()
                    print(self.figures, flush=True)
                if self.figures.requests >= requests or self.figures.seconds >= seconds:
                    return

        async with asyncio.TaskGroup() as clients:
            for _ in range(_AT_ONCE):
                clients.create_task(client())

    async def _converse(self, daemon: Daemon, number: int) -> None:
        random = Random(f"{self._seed}/{number}")
        conversation = Grammar(random, self._world).conversation()
        by_tls = random.random() < _BY_TLS
        client = _Client(daemon, conversation, self._authority.file if by_tls else None)
        try:
            answers = await client.converse()
            _check(answers, conversation)
        except (AssertionError, OSError) as failure:
            found = (
                f"{failure!r}\nin conversation {number} of seed {self._seed}"
                f"{' by TLS' if by_tls else ''}: repeat it by --seed {self._seed} --only {number}\n{conversation}"
                f"\nreceived {client.received!r}"
            )
            # At once: what follows may be the daemon's end.
            print(found, flush=True)
            raise Finding(found) from failure
        self.figures.conversations += 1
        self.figures.requests += len(conversation.methods)
        self.figures.statuses.update(answer.status for answer in answers)
        self.figures.unanswered += not answers

    def _check_end(self, daemon: Daemon) -> None:
        trouble = TROUBLE.search(log := daemon.log)
        if trouble is not None:
            at = trouble.start()
            print(f"in the log:\n{log[max(0, at - _EXCERPT) : at + _EXCERPT]}", flush=True)
        self.figures.memory = daemon.rss_bytes()
        if self.figures.warm and self.figures.memory > self.figures.warm + _MORE_MEMORY:
            raise Finding(f"its memory has grown: {self.figures}")

    def _check_audit(self) -> None:
        lines = 0
        with self._audit.open("rb") as file:
            for line in file:
                lines += 1
                if not isinstance(json.loads(line), dict):
                    raise Finding(f"this is no line of an audit log: {line!r}")
        # The answers of those who left were not counted.
        if lines < self.figures.statuses.total() - self.figures.statuses[400]:
            raise Finding(f"{lines} lines in the audit log are too few: {self.figures}")


class _Client:
    """One client's side of one connection.

    Arguments:
        root: the authority that is trusted, where it speaks TLS.
    """

    def __init__(self, daemon: Daemon, conversation: Conversation, root: Path | None) -> None:
        self.received = b""
        self._daemon = daemon
        self._conversation = conversation
        self._root = root

    async def converse(self) -> list[WireAnswer]:
        """Send it all; return what was answered. Raises Malformed, and TimeoutError where the daemon hangs."""
        reader, writer = await asyncio.wait_for(self._connect(), _PATIENCE)
        try:
            return await self._talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), _PATIENCE)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._root is None:
            return await asyncio.open_connection(*self._daemon.address)
        context = ssl.create_default_context(cafile=str(self._root))
        return await asyncio.open_connection(
            "127.0.0.1", self._daemon.tls_port, ssl=context, server_hostname=DOMAIN, ssl_shutdown_timeout=1
        )

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[WireAnswer]:
        conversation = self._conversation
        for number, piece in enumerate(conversation.pieces, 1):
            writer.write(piece)
            if conversation.waits:
                await self._read_until_answered(reader, number)
            else:
                with contextlib.suppress(OSError):
                    await writer.drain()
        if conversation.leaves:
            return []
        if not conversation.sound:
            ended = await self._read_what_comes(reader, writer)
            try:
                return read_answers(self.received, None, ended=True)
            except Incomplete:
                if ended:
                    raise
                # We went away first.
                return []
        writer.write(_LAST)
        await self._read_to_the_end(reader, _PATIENCE)
        answers = read_answers(self.received, (*conversation.methods, b"GET"), ended=True)
        if len(answers) != len(conversation.methods) + 1:
            raise Malformed(f"{len(answers)} answers to {len(conversation.methods) + 1} requests")
        return answers

    async def _read_until_answered(self, reader: asyncio.StreamReader, count: int) -> None:
        async with asyncio.timeout(_PATIENCE):
            while not self._has(count):
                data = await reader.read(65536)
                if not data:
                    raise Malformed("the connection ended before its end")
                self.received += data

    def _has(self, count: int) -> bool:
        try:
            return len(read_answers(self.received, self._conversation.methods, ended=False)) == count
        except Malformed:
            return False

    async def _read_what_comes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read until the daemon has ended the connection, or waits for more; then it must see that we end it."""
        with contextlib.suppress(TimeoutError):
            await self._read_to_the_end(reader, _STILL)
            return True
        if not writer.can_write_eof():
            return False
        with contextlib.suppress(OSError):
            writer.write_eof()
        await self._read_to_the_end(reader, _PATIENCE)
        return False

    async def _read_to_the_end(self, reader: asyncio.StreamReader, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            try:
                while data := await reader.read(65536):
                    self.received += data
            except (ConnectionResetError, BrokenPipeError):
                # We were still sending when the connection was ended.
                if self._conversation.sound:
                    raise


def _check(answers: list[WireAnswer], conversation: Conversation) -> None:
    sent = b"".join(conversation.pieces)
    for answer in answers:
        if answer.status < 500:
            continue
        meant = answer.status == 503 and AWAY.encode() in sent and answer.all("retry-after")
        if not meant or (answer.body and AWAY.encode() not in answer.body):
            raise Finding(f"a failure that is not meant: {answer}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=200_000, help="how many to send (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of a run to repeat (default: another each time)")
    parser.add_argument("--only", type=int, default=None, help="the number of the one conversation to repeat")
    parser.add_argument("--seconds", type=float, default=1800, help="send none after this time (default: %(default)s)")
    options = parser.parse_args()
    seed = Random().randrange(1 << 31) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        fuzz = Fuzz(Path(directory), seed)
        try:
            fuzz.run(options.requests, options.seconds, options.only)
        except* AssertionError:
            sys.exit(f"there are findings; {fuzz.figures}")
    print(fuzz.figures)


if __name__ == "__main__":
    main()
