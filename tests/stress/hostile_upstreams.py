"""Let registries answer the daemon whatever can be answered, right and wrong, while clients pull from them and from an
honest one; look at what clients get, and at what it costs.

Every answer to a client is well-formed HTTP or breaks off, none is a failure of the daemon's own (500), and what is
asked for by digest has that digest. What the honest registry has is right all the time. Nothing wrong is kept, nothing
is given to whom it was not given, and no field of a header comes through that is upstream's own. The log tells of no
error that nobody handled; in the end the daemon answers, and stops when it is asked to. The reactor never stalls for
long, and memory and index grow within bounds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.parts.tables import replace_section, table
from tests.parts.admin_socket import tell
from tests.parts.daemon import TROUBLE, Daemon, Upstream, configuration
from tests.parts.hostile_registry import HostileRegistry
from tests.parts.images import sha256
from tests.parts.lies import Goods
from tests.parts.lies.heads import MARK
from tests.parts.raw_http import ask
from tests.parts.wire import WireAnswer
from tests.parts.wire_client import WireClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BOUNDS", "Bounds", "Figures", "HostileUpstreams"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "security.md"
MIB = 1 << 20
HONEST = "honest.example.org"
CLOSED = "closed.example.org"
_CACHE = 64 * MIB
_AT_ONCE = 32
# Hostile registries: with retries and without, and some that have the proxy's credentials.
_LIARS = 8
# Those that ask to be left alone for a day; each is, for one kind of question.
_QUIET = 400
_LEAVES_ALONE = 97
# A client waits for so long. The daemon gives an upstream a second.
_PATIENCE = 20.0
_TIMEOUTS = {"connect": "1s", "headers": "1s", "idle": "500ms", "write": "5s"}
_STALLS = 1.6
# Nothing of these is the proxy's to repeat; Link and Warning are, in its own words.
_OURS = frozenset({"link", "warning", "content-type", "etag", "docker-content-digest"})
_OWN_FAILURES = frozenset({500, 501, 505, 507, 508, 511})
# A piece of a secret that is no longer than this may be in anything.
_TELLING = 32
_NO_DIGEST = "sha256:" + "0" * 64
# Of each kind of finding.
_SHOWN = 3
_EXCERPT = 6000
_LONGEST_SHOWN = 2000
# What is the same of findings of a kind.
_KIND = re.compile(r"[:('\"\[{<]")
_TRACEBACK = re.compile(r"\tTraceback.*?\n(?=\t?\n|[0-9])", re.DOTALL)


class Finding(AssertionError):
    """The daemon did what it must not."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What it may cost.

    Arguments:
        stall: seconds for which nobody is answered.
        memory: bytes beyond what it was after a tenth of all answers.
        index: bytes of the index with its log; the cache has 64 MiB.
        latency: seconds for an answer of the honest registry's, of one in a hundred.
    """

    stall: float = 0.1
    memory: int = 48 * MIB
    index: int = 32 * MIB
    latency: float = 2.0


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon took at one time, in bytes.

    Arguments:
        memory: resident.
        index: with its log.
        cache: all of its files.
    """

    memory: int
    index: int
    cache: int

    @classmethod
    def of(cls, daemon: Daemon) -> Sample:
        """Return what ``daemon`` takes now."""
        index = daemon.cache.index
        files = [index.with_name(index.name + end) for end in ("", "-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        return cls(daemon.rss_bytes(), size, daemon.cache.bytes_on_disk())


@dataclass(slots=True)
class Figures:
    """What happened.

    Arguments:
        answers: of the hostile registries, and how many had which lie.
        statuses: of the answers to clients; 0 where there was none, or it broke off.
        honest: how long each answer of the honest registry's took, in seconds.
        stall: the longest, in seconds.
        samples: at the start, after a tenth of the answers, and at the end.
    """

    answers: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    honest: list[float] = field(default_factory=list)
    stall: float = 0.0
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)

    def __str__(self) -> str:
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.answers['']} answers of registries in {self.seconds:.0f} s; to clients {statuses}; honest"
            f" {len(self.honest)}; longest stall {1000 * self.stall:.0f} ms"
        )

    def beyond(self, bounds: Bounds) -> Iterator[str]:
        """Say what is more than it may be."""
        _, tenth, end = self.samples
        if self.stall > bounds.stall:
            yield f"the reactor stalled for {1000 * self.stall:.0f} ms"
        if end.memory > tenth.memory + bounds.memory:
            yield f"the memory grew from {tenth.memory >> 20} to {end.memory >> 20} MiB"
        if max(sample.index for sample in self.samples) > bounds.index:
            yield f"the index has {end.index >> 20} MiB"
        if self.slowest_of_a_hundred > bounds.latency:
            yield f"an honest answer took {self.slowest_of_a_hundred:.1f} s"

    @property
    def slowest_of_a_hundred(self) -> float:
        """The 99th percentile of the honest registry's answers."""
        return quantiles(self.honest, n=100)[-1] if len(self.honest) > 1 else 0.0

    def rows(self, bounds: Bounds) -> list[tuple[str, str, str]]:
        """The table's."""
        start, tenth, end = self.samples
        lies = sum(count for name, count in self.answers.items() if name)
        failures = sum(count for status, count in self.statuses.items() if status >= 500)
        memory = " / ".join(f"{sample.memory / MIB:.0f}" for sample in (start, tenth, end))
        index = " / ".join(f"{sample.index / MIB:.1f}" for sample in (start, tenth, end))
        return [
            ("answers of hostile registries", f"{self.answers['']:,}", ""),
            ("lies in them", f"{lies:,}", ""),
            ("answers to clients", f"{self.statuses.total() - self.statuses[0]:,}", ""),
            ("of these 502, 503 and 504", f"{failures:,}", ""),
            ("broken off, or not waited for", f"{self.statuses[0]:,}", ""),
            ("longest stall of the reactor, ms", f"{1000 * self.stall:.0f}", f"{1000 * bounds.stall:.0f}"),
            (
                "RSS at the start, after a tenth, at the end, MiB",
                memory,
                f"+{bounds.memory / MIB:.0f} from the tenth on",
            ),
            (f"index likewise, of a cache of {_CACHE >> 20} MiB, MiB", index, f"{bounds.index / MIB:.0f}"),
            ("all of the cache at the end, MiB", f"{(end.cache + end.index) / MIB:.0f}", ""),
            ("honest registry's answers", f"{len(self.honest):,}", "all right"),
            ("median of their time, ms", f"{1000 * median(self.honest or [0]):.0f}", ""),
            ("99th percentile, ms", f"{1000 * self.slowest_of_a_hundred:.0f}", f"{1000 * bounds.latency:.0f}"),
        ]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client asks.

    Arguments:
        rest: of the path, after the repository.
        fields: of the header.
    """

    method: str
    registry: str
    repository: str
    rest: str
    fields: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """What it asks for, by prefix."""
        return f"/v2/{self.registry}/{self.repository}/{self.rest}"

    @property
    def digest(self) -> str:
        """What it must be, if it is asked for by its digest."""
        kind, _, reference = self.rest.partition("/")
        return reference if kind in ("manifests", "blobs") and reference.startswith("sha256:") else ""

    def __str__(self) -> str:
        return f"{self.method} {self.target} {' '.join(self.fields)}"


class HostileUpstreams:
    """A daemon, and registries that lie to it.

    Arguments:
        directory: for all that is written.
        seed: the same one has the same lies, and the same questions.
        bounds: what it may cost; None is anything.
    """

    def __init__(self, directory: Path, seed: int, bounds: Bounds | None = BOUNDS) -> None:
        self.figures = Figures()
        self.findings: Counter[str] = Counter()
        self._directory = directory
        self._seed = seed
        self._bounds = bounds
        self._began = 0.0

    def run(self, answers: int, seconds: float, only: Sequence[int] | None = None) -> None:
        """Go on until so many answers were given, for so long at the most; raise Finding.

        Arguments:
            only: the numbers of the cases to repeat.
        """
        with ExitStack() as running:
            registry = running.enter_context(HostileRegistry(self._seed, _STALLS))
            daemon = running.enter_context(Daemon(self._directory, _configuration(registry)))
            self._began = time.monotonic()
            try:
                asyncio.run(self._send(daemon, registry, answers, seconds, only))
            finally:
                self._note_trouble(daemon)
                self._look(daemon, registry)
            self._check_end(daemon)
            try:
                daemon.stop()
            except AssertionError as failure:
                # Its log is part of what it says; what is wrong there was noted.
                self._found("it does not stop as it should", f"{failure}"[:200])
        self._check_kept(daemon)
        if self.findings:
            raise Finding("; ".join(f"{kind} ({count})" for kind, count in self.findings.items()))

    async def _send(
        self, daemon: Daemon, registry: HostileRegistry, answers: int, seconds: float, only: Sequence[int] | None
    ) -> None:
        numbers: Iterator[int] = itertools.count(1) if only is None else iter(only)
        await self._warm(daemon)
        self.figures.samples.append(Sample.of(daemon))
        enough = asyncio.Event()

        async def clients() -> None:
            client = WireClient(daemon.address, _PATIENCE)
            for number in numbers:
                await self._converse(client, daemon, number)
                if enough.is_set():
                    break
            await client.leave()

        async def count() -> None:
            while True:
                await asyncio.sleep(0.5)
                await asyncio.to_thread(self._look, daemon, registry)
                got = self.figures.answers[""]
                if len(self.figures.samples) == 1 and got >= answers // 10:
                    self.figures.samples.append(await asyncio.to_thread(Sample.of, daemon))
                if got >= answers or self.figures.seconds >= seconds:
                    enough.set()
                if got // 5000 > told[0]:
                    told[0] = got // 5000
                    print(self.figures, flush=True)

        told = [0]
        async with asyncio.TaskGroup() as group:
            counting = group.create_task(count())
            async with asyncio.TaskGroup() as all_clients:
                for _ in range(_AT_ONCE):
                    all_clients.create_task(clients())
            counting.cancel()
        while len(self.figures.samples) < 3:
            self.figures.samples.append(Sample.of(daemon))

    async def _warm(self, daemon: Daemon) -> None:
        """Let something be kept that is for nobody without credentials, and something that anybody may have."""
        client = WireClient(daemon.address, _PATIENCE)
        for registry, letter in ((CLOSED, "s"), (HONEST, "g")):
            for question in _all_of(registry, letter, 0):
                answer = await client.ask(question.method, question.target)
                self._judge(question, answer, must_be_right=True)
        await client.leave()

    async def _converse(self, client: WireClient, daemon: Daemon, number: int) -> None:
        random = Random(f"{self._seed}/{number}/client")
        try:
            if random.random() < 0.2:
                await self._be_honest(client, random, number)
                return
            await self._be_lied_to(client, daemon, random, number)
        except (AssertionError, OSError, TimeoutError, ValueError) as failure:
            await client.leave()
            kind, what = _KIND.split(str(failure) or repr(failure), maxsplit=1)[0], f"{failure!r}"[:_LONGEST_SHOWN]
            self._found(kind, f"{what} in case {number}: repeat it by --seed {self._seed} --only {number}")

    async def _be_honest(self, client: WireClient, random: Random, number: int) -> None:
        """Ask the honest registry, for what is kept, was kept, or was never asked for."""
        which = random.choice((0, 0, random.randrange(100), number))
        question = random.choice(_all_of(HONEST, "g", which))
        began = time.monotonic()
        answer = await client.ask(question.method, question.target, *question.fields)
        self.figures.honest.append(time.monotonic() - began)
        self._judge(question, answer, must_be_right=True)

    async def _be_lied_to(self, client: WireClient, daemon: Daemon, random: Random, number: int) -> None:
        goods = Goods.of("n", number)
        questions = [_question(random, number, goods) for _ in range(random.randint(1, 3))]
        while questions:
            question = questions.pop(0)
            if random.random() < 0.05:
                await self._ask_twice(daemon, question)
                continue
            leaves = random.random() < 0.03
            answer = await client.ask(question.method, question.target, *question.fields, leaves=leaves)
            self._judge(question, answer)
            if answer is not None and answer.status == 200 and len(questions) < 4 and random.random() < 0.7:
                questions += _following(random, question, answer)

    async def _ask_twice(self, daemon: Daemon, question: Ask) -> None:
        """Ask the same on two connections, so that one waits for what the other has begun."""

        async def one() -> None:
            client = WireClient(daemon.address, _PATIENCE)
            try:
                self._judge(question, await client.ask(question.method, question.target, *question.fields))
            finally:
                await client.leave()

        await asyncio.gather(one(), one())

    def _judge(self, question: Ask, answer: WireAnswer | None, *, must_be_right: bool = False) -> None:
        self.figures.statuses[0 if answer is None else answer.status] += 1
        if answer is None:
            if must_be_right:
                raise Finding(f"an honest answer broke off: {question}")
            return
        for wrong in _wrongs(question, answer):
            raise Finding(f"{wrong}: {question}; answer {_shown(answer)}")
        if must_be_right and answer.status not in (200, 206):
            raise Finding(f"an honest answer is refused: {question}; answer {_shown(answer)}")

    def _found(self, kind: str, what: str) -> None:
        self.findings[kind] += 1
        if self.findings[kind] <= _SHOWN:
            # At once: what follows may be the daemon's end.
            print(f"{kind}: {what}"[:_EXCERPT], flush=True)

    def _look(self, daemon: Daemon, registry: HostileRegistry) -> None:
        self.figures.answers = registry.answers()
        self.figures.seconds = time.monotonic() - self._began
        text = tell(daemon.data_dir / "admin.sock", "GET", "/metrics").body.decode()
        found = re.search(r"^crproxy_reactor_stall_seconds (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        stall = float(found[1])
        if stall > max(self.figures.stall, BOUNDS.stall):
            print(f"a stall of {1000 * stall:.0f} ms; {self.figures}", flush=True)
        self.figures.stall = stall

    def _note_trouble(self, daemon: Daemon) -> None:
        log = daemon.log
        tracebacks = _TRACEBACK.findall(log)
        for traceback in tracebacks:
            *_, where, _, error = [line for line in traceback.splitlines() if line.strip()]
            self._found(f"in the log {where.strip()} {error.strip()[:60]}", traceback[-_LONGEST_SHOWN:])
        if not tracebacks and (trouble := TROUBLE.search(log)) is not None:
            self._found("in the log", log[max(0, trouble.start() - 500) :])

    def _check_end(self, daemon: Daemon) -> None:
        if ask(daemon.address, "GET", "/v2/").status != 200:
            self._found("it answers no more", "in the end")
        for beyond in self.figures.beyond(self._bounds) if self._bounds is not None else ():
            self._found("beyond bounds", beyond)

    def _check_kept(self, daemon: Daemon) -> None:
        """Called when it has ended."""
        if damaged := daemon.cache.damaged():
            self._found("these files have other bytes", f"{damaged}")
        if not daemon.cache.is_agreed():
            self._found("the index and the disk differ", f"{_differences(daemon)}")


def _configuration(registry: HostileRegistry) -> str:
    liars = {_liar(number): Upstream(registry.url, retries=0) for number in range(1, _LIARS)}
    liars[_liar(0)] = Upstream(registry.url, retries=1)
    liars[_liar(1)] = Upstream(registry.url, username="me", password="secret", retries=0)
    quiet = {_quiet(number): Upstream(registry.url, retries=0) for number in range(_QUIET)}
    honest = {
        HONEST: Upstream(registry.honest_url),
        CLOSED: Upstream(registry.honest_url, username="me", password="secret"),
    }
    # A tag is asked for each time, so that what is kept meets lies, too.
    cache = {"size": f"{_CACHE >> 20}M", "tag_ttl": "1ms"}
    return configuration({**liars, **quiet, **honest}, timeouts=_TIMEOUTS, cache=cache)


def _liar(number: int) -> str:
    return f"liar-{number % _LIARS}.example.org"


def _quiet(number: int) -> str:
    return f"quiet-{number % _QUIET}.example.org"


def _all_of(registry: str, letter: str, number: int) -> list[Ask]:
    """What there is in an honest repository."""
    goods, repository = Goods.of(letter, number), f"{letter}{number}/app"
    rests = [f"manifests/{reference}" for reference in goods.manifests] + [f"blobs/{digest}" for digest in goods.blobs]
    return [
        *(Ask("GET", registry, repository, rest) for rest in rests),
        *(Ask("HEAD", registry, repository, rest) for rest in rests),
        *(
            Ask("GET", registry, repository, rest, (f"Range: bytes={0}-{0}",))
            for rest in rests
            if rest.startswith("blobs")
        ),
        Ask("GET", registry, repository, "tags/list"),
        Ask("GET", registry, repository, f"referrers/{goods.manifest}"),
    ]


def _question(random: Random, number: int, goods: Goods) -> Ask:
    secret = Goods.of("s", 0)
    rest = random.choice(
        (
            *("manifests/v1", "manifests/v1", "manifests/v1", "manifests/latest", "manifests/none"),
            *(f"manifests/{digest}" for digest in goods.manifests if ":" in digest),
            *(f"blobs/{digest}" for digest in (*goods.blobs, *goods.blobs, goods.layer, goods.layer, _NO_DIGEST)),
            *(f"blobs/{digest}" for digest in secret.blobs),
            f"manifests/{secret.manifest}",
            *("tags/list", "tags/list", "tags/list?n=5", "tags/list?last=v1&n=99999999999"),
            *(f"referrers/{goods.manifest}", f"referrers/{goods.manifest}?artifactType=a%2Fb"),
        )
    )
    ranges = ("Range: bytes=0-0", "Range: bytes=5-", "Range: bytes=-7", "Range: bytes=0-99999999", "Range: bytes=90-99")
    fields = (random.choice(ranges),) if rest.startswith("blobs") and random.random() < 0.3 else ()
    registry = _quiet(number // _LEAVES_ALONE) if number % _LEAVES_ALONE == 0 else _liar(number)
    return Ask("HEAD" if random.random() < 0.25 else "GET", registry, f"n{number}/app", rest, fields)


def _following(random: Random, question: Ask, answer: WireAnswer) -> list[Ask]:
    """What a client asks next for whom ``answer`` is a manifest."""
    if not question.rest.startswith("manifests/"):
        return []
    found = [f"manifests/{digest}" for digest in answer.all("docker-content-digest") if digest not in question.rest]
    digests = re.findall(rb'"(sha256:[0-9a-f]{64})"', answer.body[:100_000])
    found += [
        f"{random.choice(('blobs', 'manifests'))}/{digest.decode()}"
        for digest in random.sample(digests, min(2, len(digests)))
    ]
    return [Ask("GET", question.registry, question.repository, rest) for rest in found]


def _wrongs(question: Ask, answer: WireAnswer) -> Iterator[str]:
    """Say what is wrong with an answer, whatever upstream said."""
    if answer.status in _OWN_FAILURES or answer.status > 511:
        yield "a failure of its own"
    if answer.status in (429, 503) and not answer.all("retry-after"):
        yield "it does not say when to ask again"
    for name, value in answer.fields:
        if MARK in value and name.lower() not in _OURS:
            yield f"upstream's {name} came through"
    if question.method == "HEAD":
        return
    yield from _wrong_bytes(question, answer)
    if answer.status == 200 and question.rest.startswith("manifests/"):
        digests = answer.all("docker-content-digest")
        if digests != [sha256(answer.body)]:
            yield f"a manifest of which it says that it is {digests}"


def _wrong_bytes(question: Ask, answer: WireAnswer) -> Iterator[str]:
    digest = question.digest
    if answer.status == 200 and digest and sha256(answer.body) != digest:
        yield "other bytes than were asked for"
    if question.registry != CLOSED and len(answer.body) >= _TELLING and _is_secret(answer.body):
        yield "somebody else's bytes"
    if answer.status == 206:
        found = re.fullmatch(
            r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)", "".join(answer.all("content-range"))
        )
        if found is None or len(answer.body) != int(found[2]) - int(found[1]) + 1:
            yield "a part of which it is not clear which"


def _is_secret(body: bytes) -> bool:
    return any(body in secret for secret in Goods.of("s", 0).content.values())


def _differences(daemon: Daemon) -> set[tuple[str, int]]:
    on_disk = {digest: file.stat().st_size for digest, file in daemon.cache.whole().items()}
    return set(on_disk.items()) ^ set(daemon.cache.promised().items())


def _shown(answer: WireAnswer) -> str:
    return f"{answer.status} {answer.fields} {answer.body[:300]!r}"


def report(figures: Figures, seed: int, bounds: Bounds = BOUNDS) -> str:
    """The table, and what has to be known to read it."""
    import os
    import platform
    from importlib.metadata import version

    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, Twisted"
            f" {version('Twisted')}: {figures.seconds:.0f} s, {_AT_ONCE} clients at a time, seed {seed}.",
            "",
            table(("what", "seen", "at the most"), figures.rows(bounds)),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress.hostile_upstreams",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--answers", type=int, default=100_000, help="of hostile registries (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of a run to repeat (default: another each time)")
    parser.add_argument("--only", type=int, action="append", help="the number of a case to repeat; repeatable")
    parser.add_argument(
        "--seconds", type=float, default=1800, help="ask nothing after this time (default: %(default)s)"
    )
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {PAGE.name}")
    options = parser.parse_args()
    seed = Random().randrange(1 << 31) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="hostile-") as directory:
        stress = HostileUpstreams(Path(directory), seed)
        try:
            stress.run(options.answers, options.seconds, options.only)
        except AssertionError as failure:
            print(f"\n{failure}"[:_EXCERPT])
    if len(stress.figures.samples) < 3:
        sys.exit(f"it did not come to an end; seed {seed}")
    text = report(stress.figures, seed)
    print(f"\n{text}")
    if options.write:
        replace_section(PAGE, "hostile upstreams", text)
    if stress.findings:
        sys.exit(f"there are {stress.findings.total()} findings; seed {seed}")


if __name__ == "__main__":
    main()
