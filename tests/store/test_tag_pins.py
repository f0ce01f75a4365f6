from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Tag
from crproxy.store.tag_pins import TagPin, TagPins
from tests.memory import ended
from tests.stores import make_index

A, B = (Digest.of(content) for content in (b"a", b"b"))
REPOSITORY = Registry("quay.io").repository("org/name")
V1, V2 = Tag("v1"), Tag("v2")


def test_a_pin_counts_until_it_is_taken_away_and_outlasts_a_restart(tmp_path: Path) -> None:
    path, clock = tmp_path / "index.sqlite", Clock()
    index = make_index(path, clock.seconds)
    pins = TagPins(index, clock.seconds)
    assert pins.of(REPOSITORY, V1) is None
    ended(pins.pin(TagPin(REPOSITORY, V1, A, 1.0)))
    ended(pins.pin(TagPin(REPOSITORY, V1, B, 2.0)))
    ended(pins.pin(TagPin(REPOSITORY, V2, A, 3.0)))
    index.close()
    pins = TagPins(make_index(path, clock.seconds), clock.seconds)
    assert pins.of(REPOSITORY, V1) == TagPin(REPOSITORY, V1, B, 2.0)
    assert pins.all() == [TagPin(REPOSITORY, V1, B, 2.0), TagPin(REPOSITORY, V2, A, 3.0)]
    assert ended(pins.unpin(REPOSITORY, V1))
    assert not ended(pins.unpin(REPOSITORY, V1))
    assert pins.of(REPOSITORY, V1) is None


def test_a_pin_that_nobody_can_read_is_none(tmp_path: Path) -> None:
    clock = Clock()
    index = make_index(tmp_path / "index.sqlite", clock.seconds)
    ended(index.ask(lambda database: database.execute("INSERT INTO tag_pin VALUES ('quay.io', 'x', 'v1', 'no', 1)")))
    assert TagPins(index, clock.seconds).all() == []
    assert TagPins(index, clock.seconds).of(Registry("quay.io").repository("x"), V1) is None
