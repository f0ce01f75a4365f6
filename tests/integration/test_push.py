"""``crproxy cache push``: a disk's content on its way to a real S3 server, which may be away, or let nobody in."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.parts.answers import Filler
from tests.parts.daemon import Daemon, Upstream, configuration
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.fleets import tables_of
from tests.parts.operator import Operator
from tests.parts.places import REGISTRY, blob
from tests.parts.raw_http import fetch
from tests.parts.s3 import S3Server
from tests.parts.shapes import ranged
from tests.parts.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

MIB = 1024 * 1024
# Enough that it takes a while.
BODIES = [Filler(9 * MIB, seed=number) for number in range(6)]
# Each is an object, and so is each repository's right to it.
OBJECTS, BYTES = 2 * len(BODIES), sum(map(len, BODIES))

Start = Callable[..., Daemon]


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    (tmp_path / "s3").mkdir()
    with S3Server(tmp_path / "s3") as s3:
        yield s3


@pytest.fixture
def start(workers: int, tmp_path: Path, fake: FakeUpstream, s3: S3Server) -> Iterator[Start]:
    """Starts a daemon with a data directory that all have in common; ``shares`` gives it the object store."""
    with ExitStack() as ends:
        number = 0

        def started(*, shares: bool = True, key: str | None = None) -> Daemon:
            nonlocal number
            number += 1
            directory = tmp_path / f"daemon-{number}"
            directory.mkdir()
            lines = tables_of(directory, number, s3, None) if shares else []
            if key is not None:
                (directory / "s3.secret").write_text(key)
            text = "\n".join([configuration({REGISTRY: Upstream(fake.url)}, cache={"verify_every": "off"}), *lines])
            return ends.enter_context(Daemon(directory, text, tmp_path / "data", workers=workers))

        yield started


def fill(fake: FakeUpstream, start: Start) -> None:
    """Have a daemon that knows no object store have kept some blobs."""
    with start(shares=False) as daemon:
        for body in BODIES:
            fake.script(blob(body).path, ranged(body))
            assert fetch(daemon.address, blob(body).through).digest == body.digest


def contents(s3: S3Server) -> set[str]:
    return {name.rpartition("/")[2] for name in s3.names() if "/blobs/" in name}


HEXES = {body.digest.partition(":")[2] for body in BODIES}


def test_all_is_counted_and_sent_once(fake: FakeUpstream, start: Start, s3: S3Server, tmp_path: Path) -> None:
    fill(fake, start)
    operator = Operator.of(start(), tmp_path)
    first = operator.runs("cache", "push", "--json")
    last: dict[str, Any] = first.lines()[-1]
    assert (first.status, last["pushed"], last["found"], last["uploaded"]) == (0, True, OBJECTS, OBJECTS)
    assert last["uploaded_bytes"] == last["bytes"] >= BYTES
    assert (last["there_before"], last["given_up"], last["unread"], last["waiting"]) == (0, 0, 0, 0)
    assert contents(s3) == HEXES
    assert "probe" not in " ".join(s3.names())
    again = operator.runs("cache", "push")
    assert (again.status, again.out.splitlines()[-1]) == (
        0,
        f"{OBJECTS} found; 0 objects uploaded, 0 B; {OBJECTS} were there already",
    )


def test_interrupted_it_goes_on_and_so_does_the_next(
    fake: FakeUpstream, start: Start, s3: S3Server, tmp_path: Path
) -> None:
    fill(fake, start)
    daemon = start()
    operator = Operator.of(daemon, tmp_path)
    with operator.begins("cache", "push", "--json") as pushing:
        pushing.wait_for('"waiting": [1-9]')
        with s3.frozen():
            pushing.signal(signal.SIGINT)
            assert pushing.wait() == 1
        assert "the daemon goes on with what it has noted" in pushing.log
    last = operator.runs("cache", "push", "--json").lines()[-1]
    assert (last["found"], last["waiting"], last["given_up"]) == (OBJECTS, 0, 0)
    assert contents(s3) == HEXES


def test_a_store_that_goes_away_is_waited_for_and_said_so_and_a_restart_goes_on(
    fake: FakeUpstream, start: Start, s3: S3Server, tmp_path: Path
) -> None:
    fill(fake, start)
    daemon = start()
    operator = Operator.of(daemon, tmp_path)
    with operator.begins("cache", "push") as pushing:
        pushing.wait_for("[1-9][0-9]* objects are to be uploaded")
        s3.kill()
        pushing.wait_for("the last attempt failed: ")
        daemon.stop()
        assert pushing.wait() == 3
        assert "ended before all was uploaded: it goes on when it starts again" in pushing.log
    s3.start_again()
    later = start()
    until(lambda: contents(s3) == HEXES)
    last = Operator.of(later, tmp_path).runs("cache", "push", "--json").lines()[-1]
    assert (last["found"], last["given_up"], last["trouble"]) == (OBJECTS, 0, None)


@pytest.mark.parametrize("how", ["killed", "another key"])
def test_a_store_that_cannot_be_written_is_told(
    fake: FakeUpstream, start: Start, s3: S3Server, tmp_path: Path, how: str
) -> None:
    fill(fake, start)
    daemon = start(key="another" if how == "another key" else None)
    if how == "killed":
        s3.kill()
    said = Operator.of(daemon, tmp_path).runs("cache", "push")
    assert said.status == 1
    assert said.err.startswith("Error: the object store cannot be used: ")


def test_nothing_to_push_is_told(start: Start, tmp_path: Path) -> None:
    said = Operator.of(start(), tmp_path).runs("cache", "push")
    assert (said.status, said.out.splitlines()[-1]) == (0, "there is nothing to be uploaded: nothing is kept here")


def test_what_nobody_has_read_is_told(fake: FakeUpstream, start: Start, s3: S3Server, tmp_path: Path) -> None:
    fill(fake, start)
    for index in (tmp_path / "data").glob("index.sqlite*"):
        index.unlink()
    daemon = start()
    daemon.wait_for_log("were found on disk and taken up")
    operator = Operator.of(daemon, tmp_path)
    said = operator.runs("cache", "push", "--json")
    assert said.lines()[-1]["unread"] == len(BODIES)
    assert "crproxy cache verify" in operator.runs("cache", "push").out
    assert operator.runs("cache", "verify").status == 0
    last = operator.runs("cache", "push", "--json").lines()[-1]
    assert (last["unread"], last["found"]) == (0, len(BODIES))
    assert contents(s3) == HEXES
