"""What the workers agree on, in real memory that is shared. A process may look at it by one slot at a time."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.sharing.levels import OwnLevel
from crproxy.workers import ledger
from crproxy.workers.ledger import Ledger, key_of
from tests.logs import Log

SLOTS = 3
SECONDS = 60
PROCESSES = multiprocessing.get_context("spawn")


@dataclass
class Shared:
    """Where it lies."""

    directory: Path

    @contextmanager
    def by(self, slot: int) -> Iterator[Ledger]:
        """As the worker of that slot sees it."""
        found = Ledger(self.directory, slot, SLOTS)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared(tmp_path)


@pytest.fixture
def first(shared: Shared) -> Iterator[Ledger]:
    """As worker 0 sees it."""
    with shared.by(0) as found:
        yield found


# Keys


def test_nobody_else_may_read_it(first: Ledger, tmp_path: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@given(*[st.tuples(st.sampled_from(["a", "ab", "b"]), st.text(st.characters(exclude_categories=["Cs"])))] * 2)
def test_each_name_has_a_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (key_of(*one) == key_of(*other)) is (one == other)
    assert key_of(*one).startswith(key_of(one[0], ""))


@pytest.mark.parametrize("length", [490, 497, 498, 499, 500, 501, 511, 5000])
def test_a_name_may_be_too_long_for_a_key(first: Ledger, length: int) -> None:
    names = ["x" * (length - 1) + end for end in "ab"]
    for number, name in enumerate(names, 1):
        assert first.add(key_of("a", name), number) == number
        first.fill(key_of("a", name), number, 1, 0, math.inf)
        first.put(key_of("a", name), name, number)
    for number, name in enumerate(names, 1):
        key = key_of("a", name)
        assert (first.number(key), first.fill(key, 0, 1, 0, math.inf), first.get(key)) == (number,) * 3
    assert first.names(key_of("a", "")) == 2
    assert first.all(key_of("a", "")) == dict(zip(names, (1, 2), strict=True))


def test_a_name_may_have_bytes_that_are_no_text(first: Ledger) -> None:
    assert first.add(key_of("a", os.fsdecode(b"\xff")), 1) == 1


def test_what_is_called_alike_is_not_mixed_up(first: Ledger) -> None:
    """Numbers, levels and records, and those of kinds whose names begin alike."""
    key, other = key_of("a", "x"), key_of("ab", "x")
    first.add(key, 2)
    first.add(other, 1)
    first.put(key, "x", "of a")
    first.put(other, "x", "of ab")
    assert first.fill(key, 5, 1, 0, math.inf) == 5
    assert first.number(key) == 2
    assert first.names(key_of("a", "")) == 1
    assert first.all(key_of("a", "")) == {"x": "of a"}


# Numbers


NUMBERS = st.lists(st.tuples(st.integers(0, SLOTS - 1), st.sampled_from("ab"), st.integers(-3, 3)), max_size=20)


@given(NUMBERS)
def test_a_number_is_the_sum_of_what_each_slot_has(changes: list[tuple[int, str, int]]) -> None:
    model: dict[str, Counter[int]] = {name: Counter() for name in "ab"}
    with TemporaryDirectory() as directory:
        for slot, name, number in changes:
            numbers = model[name]
            numbers[slot] = max(0, numbers[slot] + number)
            with Shared(Path(directory)).by(slot) as found:
                assert found.add(key_of("n", name), number) == numbers.total()
        with Shared(Path(directory)).by(0) as found:
            assert [found.number(key_of("n", name)) for name in "ab"] == [model[name].total() for name in "ab"]
            assert found.names(key_of("n", "")) == sum(1 for numbers in model.values() if numbers.total())


def test_one_cannot_take_away_what_another_has(shared: Shared) -> None:
    key = key_of("n", "a")
    with shared.by(0) as found:
        found.add(key, 2)
    with shared.by(1) as found:
        assert found.add(key, -1) == 2


def test_what_one_had_that_is_gone_is_forgotten_and_nothing_else(shared: Shared) -> None:
    for slot in range(SLOTS):
        with shared.by(slot) as found:
            found.add(key_of("n", "all"), slot + 1)
            found.add(key_of("n", f"of {slot}"), 1)
            found.put(key_of("r", str(slot)), slot, slot)
    with shared.by(1) as found:
        found.forget_slot()
        assert found.number(key_of("n", "all")) == 1 + 3
        assert [found.number(key_of("n", f"of {slot}")) for slot in range(SLOTS)] == [1, 0, 1]
        assert found.names(key_of("n", "")) == 3
        assert found.all(key_of("r", "")) == {0: 0, 1: 1, 2: 2}
        found.forget_slot()
        assert found.number(key_of("n", "all")) == 4


def test_a_claim_is_one_worker_s_as_often_as_it_takes_it(shared: Shared) -> None:
    key = key_of("claims", "a")
    with shared.by(0) as found:
        assert found.claim(key)
        assert found.claim(key)
    with shared.by(1) as found:
        assert not found.claim(key)
    with shared.by(0) as found:
        found.add(key, -1)
    with shared.by(1) as found:
        assert not found.claim(key)
    with shared.by(0) as found:
        found.add(key, -1)
    with shared.by(1) as found:
        assert found.claim(key)
        assert found.claim(key_of("claims", "b"))


def test_a_claim_of_one_that_is_gone_is_nobodys(shared: Shared) -> None:
    key = key_of("claims", "a")
    with shared.by(1) as found:
        assert found.claim(key)
    with shared.by(1) as found:
        found.forget_slot()
    with shared.by(0) as found:
        assert found.claim(key)


# Levels


# Whole ones, of which a float has each.
FILLS = st.tuples(
    st.integers(0, SLOTS - 1), st.integers(0, 60), st.integers(0, 1000), st.just(math.inf) | st.integers(0, 1000)
)


@given(st.none() | st.integers(1, 100), st.lists(FILLS, max_size=20))
def test_a_level_is_what_one_worker_alone_would_have(
    rate: float | None, fills: list[tuple[int, float, float, float]]
) -> None:
    own, now = OwnLevel(), 1000.0
    with TemporaryDirectory() as directory:
        for slot, after, amount, most in fills:
            now += after
            with Shared(Path(directory)).by(slot) as found:
                assert found.fill(key_of("l", "a"), amount, rate, now, most) == own.fill(amount, rate, now, most)


def test_each_level_is_another(first: Ledger) -> None:
    assert first.fill(key_of("l", "a"), 5, 1, 0, math.inf) == 5
    assert first.fill(key_of("l", "b"), 3, 1, 0, math.inf) == 3
    assert first.fill(key_of("l", "a"), 0, 1, 2, math.inf) == 3


def test_a_clock_that_is_behind_another_workers_fills_nothing(first: Ledger) -> None:
    key = key_of("l", "a")
    first.fill(key, 5, 1, 100, math.inf)
    assert first.fill(key, 0, 1, 90, math.inf) == 5
    assert first.fill(key, 1, 1, 90, math.inf) == 6
    assert first.fill(key, 0, 1, 101, math.inf) == 5


# Records


@given(
    st.lists(st.tuples(st.integers(0, SLOTS - 1), st.integers(0, 3), st.none() | st.text() | st.floats(0)), max_size=20)
)
def test_a_record_is_what_any_has_put_last(changes: list[tuple[int, int, object]]) -> None:
    model: dict[int, object] = {}
    with TemporaryDirectory() as directory:
        for slot, name, value in changes:
            with Shared(Path(directory)).by(slot) as found:
                key = key_of("r", repr(name))
                if value is None:
                    found.drop(key)
                    model.pop(name, None)
                else:
                    found.put(key, name, value)
                    model[name] = value
                assert found.get(key) == model.get(name)
                assert found.all(key_of("r", "")) == model


def test_what_was_never_there_is_nothing(first: Ledger) -> None:
    key = key_of("a", "x")
    first.drop(key)
    assert (first.number(key), first.names(b""), first.get(key), first.all(key)) == (0, 0, None, {})
    assert first.fill(key, 0, 1, 100, math.inf) == 0


# Tidying


def test_what_has_drained_is_forgotten(first: Ledger) -> None:
    for name, amount, rate in (("a", 10.0, 1.0), ("b", 20.0, 1.0), ("c", 10.0, 0.1), ("d", 10.0, None)):
        first.fill(key_of("l", name), amount, rate, 100, math.inf)
    first.tidy(110)
    assert levels(first) == {"b", "c"}
    assert first.fill(key_of("l", "b"), 0, 1, 110, math.inf) == 10
    first.tidy(1000)
    assert levels(first) == set()


def levels(found: Ledger) -> set[str]:
    with found._environment.begin() as transaction:
        return {key.partition(b"\0")[2].decode() for key, _ in ledger._below(transaction, b"l")}


def test_of_each_kind_of_record_so_many_are_kept(first: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "KEPT", 3)
    for number in range(5):
        first.put(key_of("many", str(number)), number, number)
        first.add(key_of("many", str(number)), 1)
    for number in range(2):
        first.put(key_of("few", str(number)), number, number)
    first.tidy(0)
    many = first.all(key_of("many", ""))
    assert len(many) == 3
    assert many.items() <= {number: number for number in range(5)}.items()
    assert first.all(key_of("few", "")) == {0: 0, 1: 1}
    assert first.names(key_of("many", "")) == 5


# Where there is no room


@pytest.mark.parametrize(
    ("size", "length"),
    [(64, 1000), (1024, 10), (1024, 5000)],
)
def test_where_there_is_no_room_what_may_be_forgotten_is_and_numbers_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, length: int
) -> None:
    monkeypatch.setattr(ledger, "_MOST", size * 1024)
    monkeypatch.setattr(ledger, "_SIZE", 4 * size * 1024)
    monkeypatch.setattr(ledger, "_CHANGES", 1)
    many = 2 * 1024 * size // (length + 50)
    with Log() as log, Shared(tmp_path).by(0) as found:
        found.add(key_of("n", "a"), 3)
        for number in range(many):
            found.put(key_of("r", str(number)), number, "x" * length)
            assert found.get(key_of("r", str(number))) == "x" * length
        assert found.number(key_of("n", "a")) == 3
        assert len(found.all(key_of("r", ""))) < many
    assert set(log.complaints) == {"some of what the workers have in common is forgotten: it would be too much"}


def test_where_the_file_has_no_room_all_goes_on_as_if_nothing_had_been_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_SIZE", 64 * 1024)
    with Log() as log, Shared(tmp_path).by(0) as found:
        for number in range(1000):
            found.put(key_of("r", str(number)), number, "x" * 1000)
        assert found.add(key_of("n", "a"), 3) == 3
        assert found.fill(key_of("l", "a"), 5.0, 1.0, 0.0, math.inf) == 5.0
        found.drop(key_of("r", "1"))
    assert any("MDB_MAP_FULL" in line for line in log.complaints)


# Several processes


def add_up(directory: Path, slot: int, times: int, everybody: Barrier, results: Connection) -> None:
    """What a process does: it counts at the same time as the other, and tells what it counted."""
    with Shared(directory).by(slot) as found:
        everybody.wait(SECONDS)
        results.send([found.add(key_of("n", "a"), 1) for _ in range(times)])


def test_what_two_processes_add_at_a_time_is_the_sum(tmp_path: Path) -> None:
    times, everybody, told = 2000, PROCESSES.Barrier(2), list[int]()
    pipes = [PROCESSES.Pipe(duplex=False) for _ in range(2)]
    processes = [
        PROCESSES.Process(target=add_up, args=(tmp_path, slot, times, everybody, results))
        for slot, (_, results) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for process, (receiver, sender) in zip(processes, pipes, strict=True):
        assert receiver.poll(SECONDS)
        told += receiver.recv()
        process.join(SECONDS)
        assert process.exitcode == 0
        process.close()
        receiver.close()
        sender.close()
    # Each of them was told another number.
    assert sorted(told) == list(range(1, 2 * times + 1))
    with Shared(tmp_path).by(2) as found:
        assert found.number(key_of("n", "a")) == 2 * times


def die_with_a_number(directory: Path) -> None:
    Ledger(directory, 1, SLOTS).add(key_of("n", "a"), 5)
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_writing(directory: Path) -> None:
    transaction = Ledger(directory, 1, SLOTS)._environment.begin(write=True)
    transaction.put(b"n" + key_of("n", "a"), b"half")
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_reading(directory: Path) -> None:
    with Ledger(directory, 1, SLOTS)._environment.begin():
        os.kill(os.getpid(), signal.SIGKILL)


def run(killed: Callable[[Path], None], directory: Path) -> None:
    process = PROCESSES.Process(target=killed, args=(directory,))
    process.start()
    process.join(SECONDS)
    assert process.exitcode == -signal.SIGKILL
    process.close()


def test_what_one_that_was_killed_had_counted_goes_when_another_takes_its_place(shared: Shared) -> None:
    with shared.by(0) as found:
        found.add(key_of("n", "a"), 1)
        run(die_with_a_number, shared.directory)
        assert found.number(key_of("n", "a")) == 6
    with shared.by(1) as found:
        found.forget_slot()
        assert found.number(key_of("n", "a")) == 1


def test_one_that_is_killed_in_the_middle_of_a_change_has_changed_nothing_and_holds_up_nobody(
    first: Ledger, shared: Shared
) -> None:
    first.add(key_of("n", "a"), 1)
    run(die_while_writing, shared.directory)
    assert first.number(key_of("n", "a")) == 1
    assert first.add(key_of("n", "a"), 1) == 2


def take_its_place(directory: Path) -> None:
    Ledger(directory, 1, SLOTS).forget_slot()
    os.kill(os.getpid(), signal.SIGKILL)


def test_one_that_is_killed_in_the_middle_of_a_look_costs_nobody_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_SIZE", 1024 * 1024)
    with Shared(tmp_path).by(0) as found:
        found.add(key_of("n", "a"), 1)
        run(die_while_reading, tmp_path)
        run(take_its_place, tmp_path)
        found.tidy(0)
        for _ in range(1000):
            found.add(key_of("n", "b"), 1)
        assert found.number(key_of("n", "a")) == 1
