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
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from benchmarks.parts.tables import replace_section
from tests.parts.admin_socket import tell
from tests.parts.daemon import TROUBLE, Daemon, Upstream, configuration
from tests.parts.hostile_registry import HostileRegistry
from tests.parts.lies import Goods
from tests.parts.raw_http import ask
from tests.parts.wire_client import WireClient

from .figures import BOUNDS, CACHE, MIB, Bounds, Figures, Sample, report
from .judging import wrongs, wrongs_of_honest
from .questions import CLOSED, HONEST, LIARS, QUIET, Question, all_of, following, liar, make_question, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.parts.wire import WireAnswer

__all__ = ["Finding", "HostileUpstreams"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "security.md"
# As many keep the daemon busy; with more, what is due in one turn is merely more of the same.
_AT_ONCE = 16
# A client waits for so long. The daemon gives an upstream a second.
_PATIENCE = 20.0
_TIMEOUTS = {"connect": "1s", "headers": "1s", "idle": "500ms", "write": "5s"}
# For which a registry that stalls says nothing.
_STALLS = 1.6
# Of each kind of finding, and of one.
_SHOWN = 3
_EXCERPT = 6000
_LONGEST_SHOWN = 2000
# What is the same of findings of a kind ends here.
_KIND = re.compile(r"[:('\"\[{<]")
_TRACEBACK = re.compile(r"\tTraceback.*?\n(?=\t?\n|[0-9])", re.DOTALL)
_STALL = re.compile(r"^crproxy_reactor_stall_seconds (\S+)$", re.MULTILINE)


class Finding(AssertionError):
    """The daemon did what it must not."""


class HostileUpstreams:
    """A daemon, and registries that lie to it.

    Arguments:
        directory: for all that is written.
        seed: the same one has the same lies, and the same questions.
        bounds: what it may cost; None is anything.
        clients: how many there are at a time.
    """

    def __init__(self, directory: Path, seed: int, bounds: Bounds | None = BOUNDS, clients: int = _AT_ONCE) -> None:
        self.figures = Figures()
        self.findings: Counter[str] = Counter()
        self._directory = directory
        self._seed = seed
        self._bounds = bounds
        self._clients = clients
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
                await asyncio.sleep(1)
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
                for _ in range(self._clients):
                    all_clients.create_task(clients())
            counting.cancel()
        while len(self.figures.samples) < 3:
            self.figures.samples.append(Sample.of(daemon))

    async def _warm(self, daemon: Daemon) -> None:
        """Let something be kept that is for nobody without credentials, and something that anybody may have."""
        client = WireClient(daemon.address, _PATIENCE)
        for registry, letter in ((CLOSED, "s"), (HONEST, "g")):
            for question in all_of(registry, letter, 0):
                answer = await client.ask(question.method, question.target, *question.fields)
                self._judge(question, answer, Goods.of(letter, 0))
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
        question = random.choice(all_of(HONEST, "g", which))
        began = time.monotonic()
        answer = await client.ask(question.method, question.target, *question.fields)
        self.figures.honest.append(time.monotonic() - began)
        self._judge(question, answer, Goods.of("g", which))

    async def _be_lied_to(self, client: WireClient, daemon: Daemon, random: Random, number: int) -> None:
        goods = Goods.of("n", number)
        questions = [make_question(random, number, goods) for _ in range(random.randint(1, 3))]
        while questions:
            question = questions.pop(0)
            if random.random() < 0.05:
                await self._ask_twice(daemon, question)
                continue
            leaves = random.random() < 0.03
            answer = await client.ask(question.method, question.target, *question.fields, leaves=leaves)
            self._judge(question, answer)
            if answer is not None and answer.status == 200 and len(questions) < 4 and random.random() < 0.7:
                questions += following(random, question, answer)

    async def _ask_twice(self, daemon: Daemon, question: Question) -> None:
        """Ask the same on two connections, so that one waits for what the other has begun."""

        async def one() -> None:
            client = WireClient(daemon.address, _PATIENCE)
            try:
                self._judge(question, await client.ask(question.method, question.target, *question.fields))
            finally:
                await client.leave()

        await asyncio.gather(one(), one())

    def _judge(self, question: Question, answer: WireAnswer | None, honest: Goods | None = None) -> None:
        """Raise Finding where an answer is not as it must be.

        Arguments:
            honest: what the registry has, if it is an honest one.
        """
        self.figures.statuses[0 if answer is None else answer.status] += 1
        found = [] if answer is None else list(wrongs(question, answer))
        if honest is not None:
            found += wrongs_of_honest(question, answer, honest.whole(question.reference))
        if found:
            shown = "" if answer is None else f"{answer.status} {answer.fields} {answer.body[:300]!r}"
            raise Finding(f"{found[0]}: {question}; answer {shown}")

    def _found(self, kind: str, what: str) -> None:
        self.findings[kind] += 1
        if self.findings[kind] <= _SHOWN:
            # At once: what follows may be the daemon's end.
            print(f"{kind}: {what}"[:_EXCERPT], flush=True)

    def _look(self, daemon: Daemon, registry: HostileRegistry) -> None:
        self.figures.answers = registry.answers()
        self.figures.seconds = time.monotonic() - self._began
        try:
            text = tell(daemon.data_dir / "admin.sock", "GET", "/metrics").body.decode()
        except OSError as error:
            self._found("it does not tell how it is", f"{error!r}")
            return
        found = _STALL.search(text)
        assert found is not None, text
        stall = float(found[1])
        if stall > max(self.figures.stall, BOUNDS.stall):
            print(f"a stall of {1000 * stall:.0f} ms; {self.figures}", flush=True)
        self.figures.stall = stall

    def _note_trouble(self, daemon: Daemon) -> None:
        log = daemon.log
        tracebacks = _TRACEBACK.findall(log)
        for traceback in tracebacks:
            lines = [line.strip() for line in traceback.splitlines() if line.strip()]
            (*_, where) = ["", *(line for line in lines if line.startswith("File "))]
            self._found(f"in the log {where} {lines[-1][:60]}", traceback[-_LONGEST_SHOWN:])
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
    liars = {liar(number): Upstream(registry.url, retries=0) for number in range(LIARS)}
    liars[liar(0)] = Upstream(registry.url, retries=1)
    liars[liar(1)] = Upstream(registry.url, username="me", password="secret", retries=0)
    liars |= {quiet(number): Upstream(registry.url, retries=0) for number in range(QUIET)}
    honest = {
        HONEST: Upstream(registry.honest_url),
        CLOSED: Upstream(registry.honest_url, username="me", password="secret"),
    }
    # A tag is asked for each time, so that what is kept meets lies, too.
    cache = {"size": f"{CACHE // MIB}M", "tag_ttl": "1ms"}
    return configuration({**liars, **honest}, timeouts=_TIMEOUTS, cache=cache)


def _differences(daemon: Daemon) -> set[tuple[str, int]]:
    on_disk = {digest: file.stat().st_size for digest, file in daemon.cache.whole().items()}
    return set(on_disk.items()) ^ set(daemon.cache.promised().items())


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress.hostile_upstreams",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--answers", type=int, default=100_000, help="of hostile registries (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=_AT_ONCE, help="at a time (default: %(default)s)")
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
        stress = HostileUpstreams(Path(directory), seed, clients=options.clients)
        try:
            stress.run(options.answers, options.seconds, options.only)
        except AssertionError as failure:
            print(f"\n{failure}"[:_EXCERPT])
    if len(stress.figures.samples) < 3:
        sys.exit(f"it did not come to an end; seed {seed}")
    text = report(stress.figures, f"{options.clients} clients at a time, seed {seed}")
    print(f"\n{text}")
    if options.write:
        replace_section(PAGE, "hostile upstreams", text)
    if stress.findings:
        sys.exit(f"there are {stress.findings.total()} findings; seed {seed}")


if __name__ == "__main__":
    main()
