from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trustme
from twisted.internet.task import Clock

from crproxy.tls.certificates import Certified, self_signed
from crproxy.tls.watching import Watch
from tests.logs import Log

AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)


def pem(*names: str) -> bytes:
    issued = AUTHORITY.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    return issued.private_key_and_cert_chain_pem.bytes()


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


class Watched:
    """A directory that is watched, and what was placed last."""

    def __init__(self, directory: Path, *, is_told: bool = True) -> None:
        self.directory = directory
        self.placed: Mapping[str, Certified] = {}
        self.times = 0
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.watch = Watch(directory, self._place, self.clock, is_told=is_told)

    def _place(self, files: Mapping[str, Certified]) -> None:
        self.placed, self.times = files, self.times + 1

    def write(self, name: str, content: bytes) -> None:
        """Replace a file as programs that renew certificates do."""
        partial = self.directory / "partial"
        partial.write_bytes(content)
        partial.rename(self.directory / name)

    def serials(self) -> dict[str, int]:
        return {name: certified.leaf.serial_number for name, certified in self.placed.items()}


@pytest.fixture
def watched(tmp_path: Path, log: Log) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    if watched.watch.running:
        watched.watch.stopService()
    assert watched.clock.getDelayedCalls() == []


def test_every_name_of_a_file_is_placed(watched: Watched) -> None:
    watched.write("any.pem", pem("cr.test", "*.cr.test"))
    watched.write("notes.txt", b"not looked at")
    watched.watch.startService()
    assert set(watched.placed) == {"cr.test", "*.cr.test"}


def test_a_file_for_the_very_name_wins_over_one_that_has_it_besides(watched: Watched) -> None:
    watched.write("quay.cr.test.pem", pem("quay.cr.test"))
    watched.write("zz.pem", pem("cr.test", "quay.cr.test"))
    watched.watch.startService()
    own = Certified.from_pem((watched.directory / "quay.cr.test.pem").read_bytes())
    assert watched.placed["quay.cr.test"].leaf == own.leaf


def test_a_replaced_file_is_used_within_seconds(watched: Watched) -> None:
    watched.write("cr.test.pem", pem("cr.test"))
    watched.watch.startService()
    before = watched.serials()
    watched.write("cr.test.pem", pem("cr.test"))
    watched.clock.advance(2)
    assert watched.serials() != before
    watched.clock.advance(2)
    assert watched.times == 2


def test_a_broken_one_changes_nothing_and_says_so_once(watched: Watched, log: Log) -> None:
    watched.write("cr.test.pem", pem("cr.test"))
    watched.watch.startService()
    before = watched.serials()
    watched.write("cr.test.pem", b"junk")
    watched.clock.pump([2, 2, 2])
    assert watched.serials() == before
    (said,) = [line for line in log.lines if "cannot be used" in line]
    assert "so what it had before is used on" in said
    watched.write("cr.test.pem", pem("cr.test"))
    watched.clock.advance(2)
    assert watched.serials() != before


def test_a_file_that_is_gone_is_used_no_more(watched: Watched) -> None:
    watched.write("cr.test.pem", pem("cr.test"))
    watched.watch.startService()
    (watched.directory / "cr.test.pem").unlink()
    watched.clock.advance(2)
    assert watched.placed == {}


def test_a_directory_that_is_gone_changes_nothing(watched: Watched, log: Log) -> None:
    watched.write("cr.test.pem", pem("cr.test"))
    watched.watch.startService()
    elsewhere = watched.directory.with_name("elsewhere")
    watched.directory.rename(elsewhere)
    watched.clock.pump([2, 2])
    assert set(watched.placed) == {"cr.test"}
    assert len([line for line in log.lines if "cannot be read" in line]) == 1
    elsewhere.rename(watched.directory)
    watched.clock.advance(2)
    assert set(watched.placed) == {"cr.test"}


def test_one_that_has_ended_is_told(watched: Watched, log: Log) -> None:
    watched.write("cr.test.pem", self_signed("cr.test", 0).to_pem())
    watched.watch.startService()
    assert any("has a certificate that ended on 1970-04-01: replace it" in line for line in log.lines)
    assert set(watched.placed) == {"cr.test"}


def test_a_change_that_keeps_the_size_is_noticed(watched: Watched) -> None:
    path = watched.directory / "cr.test.pem"
    path.write_bytes(b"junk")
    watched.watch.startService()
    content = pem("cr.test")
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    watched.clock.advance(2)
    assert set(watched.placed) == {"cr.test"}


def test_a_few_files_are_told_of_one_by_one(watched: Watched, log: Log) -> None:
    watched.write("a.pem", pem("a.test"))
    watched.write("b.pem", pem("b.test", "c.test"))
    watched.watch.look()
    told = [line for line in log.lines if "used for" in line]
    assert len(told) == 2
    assert any("b.pem is used for b.test, c.test" in line for line in told)


def test_many_are_told_of_together(watched: Watched, log: Log) -> None:
    content = pem("a.test", "b.test")
    for number in range(21):
        watched.write(f"{number}.pem", content)
    watched.watch.look()
    (told,) = [line for line in log.lines if "used for" in line]
    assert told.endswith("are used for 2 names")
    assert "21 files in " in told


def test_of_several_workers_one_tells_what_is_wrong(tmp_path: Path, log: Log) -> None:
    watched = Watched(tmp_path, is_told=False)
    watched.write("broken.pem", b"junk")
    watched.write("cr.test.pem", self_signed("cr.test", 0).to_pem())
    watched.watch.startService()
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    watched.clock.advance(2)
    watched.watch.stopService()
    assert log.complaints == []
    assert set(watched.placed) == {"cr.test"}
