from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from crproxy.config import Config, Options, load
from crproxy.oci.digests import Digest
from crproxy.service.denied_digests import DeniedDigests
from tests.logs import Log

A, B = (Digest.of(content) for content in (b"a", b"b"))


class World:
    """A file, a configuration that names it, and who reads it."""

    def __init__(self, path: Path) -> None:
        self.file = path / "denied"
        self.write(f"{A}\n")
        self.config = self.load()
        self.clock = Clock()
        self.denied = DeniedDigests(lambda: self.config, lambda name: Path(name).read_text("utf-8"), self.clock)

    def load(self, text: str | None = None) -> Config:
        text = f'[access]\ndeny_digests_file = "{self.file}"\n' if text is None else text
        return load(text, Options(), read_file=lambda name: Path(name).read_text("utf-8"))

    def write(self, text: str) -> None:
        written = self.file.with_suffix(".next")
        written.write_text(text)
        written.replace(self.file)


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as listening:
        yield listening


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_change_of_the_file_counts_within_a_second(world: World, log: Log) -> None:
    world.denied.startService()
    assert world.denied() == {A}
    world.write(f"{B}\n")
    world.clock.advance(1)
    assert world.denied() == {B}
    world.denied.stopService()
    world.write(f"{A}\n")
    world.clock.advance(10)
    assert world.denied() == {B}
    assert world.clock.getDelayedCalls() == []


@pytest.mark.parametrize("trouble", ["nonsense\n", None, b"\xff\xfe"])
def test_a_mistake_changes_nothing_and_is_told_once(world: World, log: Log, trouble: str | bytes | None) -> None:
    world.denied.startService()
    if trouble is None:
        world.file.unlink()
    elif isinstance(trouble, bytes):
        world.file.write_bytes(trouble)
    else:
        world.write(trouble)
    for _ in range(3):
        world.clock.advance(1)
    assert world.denied() == {A}
    assert len([line for line in log.lines if "the digests that were denied still are" in line]) == 1
    world.write(f"{B}\n")
    world.clock.advance(1)
    assert world.denied() == {B}


def test_another_configuration_counts_at_once(world: World) -> None:
    world.denied.startService()
    world.config = world.load("")
    assert world.denied() == frozenset()
    world.clock.advance(1)
    world.write(f"{A}\n{B}\n")
    world.config = world.load()
    assert world.denied() == {A, B}
