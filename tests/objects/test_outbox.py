from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.objects.outbox import Came, Draft, Item, Outbox, Tally
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.entries import Entry
from tests.logs import Log

A, B = Entry(Digest.of(b"a")), Entry(Digest.of(b"b"), Registry("localhost:5000"))
BLOB, PRIVATE = Draft("v1/blobs/a", 10, A), Draft("v1/pools/b", 20, B)
FACT, GONE = Draft("v1/tags/c", 4, None, b"fact"), Draft("v1/tags/d")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture
def outbox(directory: Path) -> Iterator[Outbox]:
    outbox = Outbox(directory)
    yield outbox
    outbox.close()


def drafts(items: list[Item]) -> list[Draft]:
    return [Draft(item.key, item.size, item.entry, item.content) for item in items]


def test_what_was_put_is_taken_in_its_order_and_stays(outbox: Outbox) -> None:
    outbox.put([BLOB, FACT])
    outbox.put([GONE, PRIVATE])
    for _ in range(2):
        assert drafts(outbox.take(10)) == [BLOB, FACT, GONE, PRIVATE]
    assert drafts(outbox.take(2)) == [BLOB, FACT]
    assert drafts(outbox.take(2, {BLOB.key, GONE.key})) == [FACT, PRIVATE]
    assert drafts(outbox.take(10, contents=1)) == [BLOB, FACT, GONE]
    assert drafts(outbox.take(10, contents=0)) == [FACT, GONE]
    assert outbox.take(0) == []


def test_what_is_done_is_gone(outbox: Outbox) -> None:
    outbox.put([BLOB, FACT, PRIVATE])
    assert outbox.waiting() == (3, 34)
    assert outbox.has(BLOB.key)
    outbox.done(outbox.take(1)[0])
    assert drafts(outbox.take(10)) == [FACT, PRIVATE]
    assert outbox.waiting() == (2, 24)
    assert not outbox.has(BLOB.key)


def test_a_thing_that_is_put_again_is_there_once_as_it_is_now(outbox: Outbox) -> None:
    outbox.put([FACT, BLOB])
    outbox.put([Draft(FACT.key, 3, None, b"new")])
    assert drafts(outbox.take(10)) == [BLOB, Draft(FACT.key, 3, None, b"new")]
    assert outbox.waiting() == (2, 13)


def test_what_was_put_anew_meanwhile_is_not_done(outbox: Outbox) -> None:
    outbox.put([FACT])
    (taken,) = outbox.take(1)
    outbox.put([Draft(FACT.key, 3, None, b"new")])
    outbox.done(taken)
    outbox.put_back(taken)
    assert drafts(outbox.take(1)) == [Draft(FACT.key, 3, None, b"new")]
    outbox.done(outbox.take(1)[0])
    outbox.done(taken)
    assert outbox.waiting() == (0, 0)


def test_what_is_put_back_comes_after_all_others(outbox: Outbox) -> None:
    outbox.put([BLOB, FACT])
    outbox.put_back(outbox.take(1)[0])
    assert drafts(outbox.take(10)) == [FACT, BLOB]
    assert outbox.waiting() == (2, 14)


def test_nothing_put_is_nothing(outbox: Outbox) -> None:
    outbox.put([])
    assert outbox.waiting() == (0, 0)


def test_it_is_there_after_a_restart(directory: Path) -> None:
    first = Outbox(directory)
    first.put([BLOB, FACT, PRIVATE])
    first.close()
    second = Outbox(directory)
    assert drafts(second.take(10)) == [BLOB, FACT, PRIVATE]
    second.close()


PUTS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from crproxy.objects.outbox import Draft, Outbox
outbox = Outbox(Path(sys.argv[1]))
for number in range(50):
    outbox.put([Draft(f"{sys.argv[2]}/{number}", 1, None, b"x")])
if sys.argv[3] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def put_elsewhere(directory: Path, name: str, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PUTS_AND_DIES, str(directory), name, how])


def test_a_process_that_is_killed_leaves_what_it_had_put(outbox: Outbox, directory: Path) -> None:
    assert put_elsewhere(directory, "a", "dies").wait() == -9
    assert [item.key for item in outbox.take(100)] == [f"a/{number}" for number in range(50)]


def test_several_processes_put_at_the_same_time(outbox: Outbox, directory: Path) -> None:
    processes = [put_elsewhere(directory, name, "ends") for name in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert {item.key for item in outbox.take(1000)} == {f"{name}/{number}" for name in "abc" for number in range(50)}
    assert outbox.waiting() == (150, 150)


def test_it_is_bounded_and_says_so_once(directory: Path) -> None:
    outbox = Outbox(directory, most=3)
    with Log() as log:
        outbox.put([BLOB, FACT, GONE, PRIVATE])
        outbox.put([PRIVATE])
        outbox.put([Draft(FACT.key, 3, None, b"new")])
    assert drafts(outbox.take(10)) == [BLOB, GONE, Draft(FACT.key, 3, None, b"new")]
    assert log.lines == ["1 things will not be uploaded, nor will others be: 3 wait already"]
    assert outbox.lost == 2
    outbox.done(outbox.take(1)[0])
    with Log() as log:
        outbox.put([PRIVATE])
        outbox.put([BLOB])
    assert outbox.has(PRIVATE.key)
    assert len(log.lines) == 1
    outbox.close()


def test_a_damaged_one_is_set_aside(directory: Path) -> None:
    for number in range(2):
        directory.mkdir(exist_ok=True)
        (directory / "data.mdb").write_bytes(b"no such thing" * 1000)
        with Log() as log:
            outbox = Outbox(directory)
        outbox.put([BLOB])
        assert drafts(outbox.take(10)) == [BLOB]
        outbox.close()
        aside = directory.with_name(f"outbox.damaged-{number}")
        assert (aside / "data.mdb").exists()
        assert len(log.lines) == 1
        assert f"it was set aside as {aside.name}" in log.lines[0]


def test_it_is_nobody_elses(directory: Path, outbox: Outbox) -> None:
    assert directory.stat().st_mode & 0o77 == 0
    assert (directory / "data.mdb").stat().st_mode & 0o77 == 0


@given(st.lists(st.tuples(st.sampled_from(["put", "done", "back"]), st.sampled_from("abcdef"), st.integers(0, 9))))
def test_it_is_a_queue_of_the_last_of_each(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    outbox, model = Outbox(tmp_path_factory.mktemp("outbox")), dict[str, int]()
    try:
        for step, key, size in steps:
            if step == "put":
                outbox.put([Draft(key, size, A)])
                model.pop(key, None)
                model[key] = size
            elif model:
                (first,) = outbox.take(1)
                assert first.key == next(iter(model))
                if step == "done":
                    outbox.done(first)
                    del model[first.key]
                else:
                    outbox.put_back(first)
                    model[first.key] = model.pop(first.key)
        assert [(item.key, item.size) for item in outbox.take(100)] == list(model.items())
        assert outbox.waiting() == (len(model), sum(model.values()))
    finally:
        outbox.close()


def test_what_has_come_of_all_is_counted_for_good(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "tally")
    assert outbox.tally() == Tally()
    outbox.put([Draft("a", 10, content=b"x" * 10), Draft("b", 5), Draft("c", 7)])
    before = outbox.tally()
    for came in (Came.UPLOADED, Came.THERE_BEFORE, Came.GIVEN_UP):
        outbox.done(outbox.take(1)[0], came)
    outbox.close()
    outbox = Outbox(tmp_path / "tally")
    assert outbox.tally().since(before) == outbox.tally() == Tally(1, 10, 1, 1)
    outbox.close()
    assert outbox.tally() == Tally()


def test_why_nothing_goes_on_is_told_until_something_does(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "tally")
    outbox.put([Draft("a"), Draft("b")])
    outbox.put_back(outbox.take(1)[0], "x" * 1000)
    assert outbox.tally().trouble == "x" * 300
    outbox.done(outbox.take(1)[0], Came.GIVEN_UP)
    assert outbox.tally().trouble is not None
    outbox.put_back(outbox.take(1)[0], "gone ä")
    assert outbox.tally().trouble == "gone ä"
    outbox.done(outbox.take(1)[0], Came.THERE_BEFORE)
    assert outbox.tally().trouble is None
    outbox.close()
