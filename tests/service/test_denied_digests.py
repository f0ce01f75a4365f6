from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from crproxy.config import Config
from crproxy.oci.digests import Digest
from crproxy.policy.access import Access
from crproxy.service.denied_digests import DeniedDigests
from tests.logs import Log

A, B = Digest.of(b"a"), Digest.of(b"b")


@dataclass
class House:
    """A daemon with a list, and the time."""

    path: Path
    config: Config
    clock: Clock
    denied: DeniedDigests

    def write(self, *digests: object) -> None:
        """Have the file be another one, as an editor makes it."""
        other = self.path.with_suffix(".new")
        other.write_text("".join(f"{digest}\n" for digest in digests))
        other.replace(self.path)

    def reload(self, *digests: Digest, path: Path | None = None) -> None:
        access = Access(deny_digests_file=str(path or self.path), denied_digests=frozenset(digests))
        self.config = replace(self.config, access=access)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    clock = Clock()
    found = House(tmp_path / "denied", Config(), clock, None)  # type: ignore[arg-type]  # it asks the house
    found.denied = DeniedDigests(lambda: found.config, lambda path: Path(path).read_text("utf-8"), clock)
    found.write(A)
    found.reload(A)
    found.denied.startService()
    yield found
    found.denied.stopService()
    assert not clock.getDelayedCalls()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def test_without_a_file_nothing_is_denied() -> None:
    clock = Clock()
    denied = DeniedDigests(Config, lambda path: pytest.fail("nothing is to be read"), clock)
    denied.startService()
    clock.pump([1] * 5)
    assert denied() == frozenset()
    denied.stopService()


def test_what_was_read_with_the_configuration_counts_at_once(house: House) -> None:
    assert house.denied() == {A}
    house.reload(B)
    assert house.denied() == {B}


def test_a_change_counts_within_a_second(house: House, log: Log) -> None:
    house.write(A, B)
    assert house.denied() == {A}
    house.clock.advance(1)
    assert house.denied() == {A, B}
    assert f"{house.path} was read again: 2 digests are denied" in log.lines
    house.write()
    house.clock.advance(1)
    assert house.denied() == frozenset()


def test_what_has_not_changed_is_not_told_of(house: House, log: Log) -> None:
    house.clock.pump([1] * 5)
    assert log.lines == []


@pytest.mark.parametrize("mistake", ["not utf-8", "no digest", "gone"])
def test_a_mistake_changes_nothing_and_is_told_once(house: House, log: Log, mistake: str) -> None:
    def spoil() -> None:
        if mistake == "gone":
            house.path.unlink()
        elif mistake == "no digest":
            house.path.write_text(f"{B}\nnginx\n")
        else:
            house.path.write_bytes(b"\xff")

    spoil()
    house.clock.pump([1] * 5)
    assert house.denied() == {A}
    (told,) = [text for text in log.lines if "was not read again, the digests that were denied still are" in text]
    if mistake == "no digest":
        assert "line 2" in told
    log.events.clear()
    house.write(B)
    house.clock.advance(1)
    assert house.denied() == {B}


def test_another_file_is_looked_at_after_a_reload(house: House, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(f"{B}\n")
    house.reload(B, path=other)
    house.clock.advance(1)
    assert house.denied() == {B}
    other.write_text(f"{A}\n{B}\n")
    house.clock.advance(1)
    assert house.denied() == {A, B}
