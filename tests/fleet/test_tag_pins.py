from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, fail

from crproxy.fleet.identity import Secret
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Tag
from crproxy.store.tag_pins import PinChange
from tests.fleet.tag_nodes import REPOSITORY, V1, Member, TagFleet
from tests.memory import ended

A, B, C = (Digest.of(content) for content in (b"a", b"b", b"c"))
DAY = 86400.0


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[TagFleet]:
    fleet = TagFleet(tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def nodes(fleet: TagFleet) -> list[Member]:
    return [fleet.start(name) for name in ("one", "other")]


def pinned(*nodes: Member) -> list[Digest | None]:
    return [node.pinned() for node in nodes]


def test_a_pin_counts_on_all_nodes_within_a_second(fleet: TagFleet, nodes: list[Member]) -> None:
    nodes[0].pin(A)
    fleet.advance(1)
    assert pinned(*nodes) == [A, A]
    nodes[1].pin(B)
    fleet.advance(1)
    assert pinned(*nodes) == [B, B]
    assert ended(nodes[0].pins.unpin(REPOSITORY, V1))
    fleet.advance(1)
    assert pinned(*nodes) == [None, None]
    assert not ended(nodes[1].pins.unpin(REPOSITORY, V1))


def test_by_it_all_nodes_answer(fleet: TagFleet, nodes: list[Member]) -> None:
    held = fleet.move(b"{}")
    fleet.move(b'{"a": 1}')
    nodes[0].pin(held)
    fleet.advance(1)
    assert [node.answered() for node in nodes] == [held, held]


def test_a_node_that_starts_anew_learns_them(fleet: TagFleet, nodes: list[Member]) -> None:
    nodes[0].pin(A)
    nodes[0].pin(B, Tag("v2"))
    late = fleet.start("late")
    assert (late.pinned(), late.pinned(Tag("v2"))) == (A, B)


def test_a_node_that_was_away_learns_them_and_brings_back_none(fleet: TagFleet, nodes: list[Member]) -> None:
    nodes[0].pin(A)
    fleet.advance(1)
    fleet.stop(nodes[1])
    assert ended(nodes[0].pins.unpin(REPOSITORY, V1))
    nodes[0].pin(B, Tag("v2"))
    fleet.advance(3 * 3600, 60)
    again = fleet.start("other")
    fleet.advance(1)
    assert pinned(nodes[0], again) == [None, None]
    assert again.pinned(Tag("v2")) == B


def test_what_was_said_while_valkey_was_away_is_told_afterwards_and_the_latest_counts(
    fleet: TagFleet, nodes: list[Member]
) -> None:
    for node in nodes:
        node.connected.is_up = False
    nodes[0].pin(A)
    nodes[0].pin(A, Tag("v2"))
    fleet.advance(10)
    nodes[1].pin(B)
    fleet.advance(10)
    assert pinned(*nodes) == [A, B]
    for node in nodes:
        node.connected.come_back()
    fleet.advance(2)
    assert pinned(*nodes) == [B, B]
    assert nodes[1].pinned(Tag("v2")) == A


@pytest.mark.parametrize("is_noticed", [True, False])
def test_emptied_valkey_has_them_again(fleet: TagFleet, nodes: list[Member], is_noticed: bool) -> None:
    nodes[0].pin(A)
    fleet.advance(1)
    fleet.stop(nodes[0])
    fleet.server.clear()
    if is_noticed:
        nodes[1].connected.come_back()
    else:
        fleet.advance(61)
    assert fleet.start("late").pinned() == A


@pytest.mark.parametrize("ahead", [1.0, -1.0, 3600.0, -DAY])
def test_clocks_that_differ_bring_nobody_out_of_step(fleet: TagFleet, ahead: float) -> None:
    one, other = fleet.start("one"), fleet.start("other", ahead=ahead)
    for digest, node in ((A, one), (B, other), (C, one), (A, other)):
        node.pin(digest)
        fleet.advance(2)
        assert pinned(one, other) == [digest, digest]
    assert ended(one.pins.unpin(REPOSITORY, V1))
    fleet.advance(2)
    assert pinned(one, other) == [None, None]


def test_nothing_is_written_where_nothing_changes(fleet: TagFleet, nodes: list[Member]) -> None:
    nodes[0].pin(A)
    fleet.advance(2)
    asked = len([word for word in fleet.server.asked if word == "script"])
    fleet.advance(50)
    assert len([word for word in fleet.server.asked if word == "script"]) == asked


def test_that_a_pin_was_taken_away_is_forgotten_in_time(fleet: TagFleet, nodes: list[Member]) -> None:
    nodes[0].pin(A)
    assert ended(nodes[0].pins.unpin(REPOSITORY, V1))
    assert [change.digest for change in nodes[0].pins.changes()] == [None]
    fleet.clock.advance(91 * DAY)
    fleet.advance(61)
    assert nodes[0].pins.changes() == nodes[1].pins.changes() == []


def test_an_index_that_cannot_be_written_is_tried_again(
    fleet: TagFleet, nodes: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes[0].pin(A)
    with monkeypatch.context() as broken:
        broken.setattr(nodes[1].pins, "hear", lambda changes: fail(OSError("full")))
        fleet.advance(2)
        assert pinned(*nodes) == [A, None]
    fleet.advance(1)
    assert pinned(*nodes) == [A, A]


def test_of_very_many_the_latest_are_told(fleet: TagFleet, nodes: list[Member]) -> None:
    repository = Registry("registry.example").repository("/".join(["a" * 50] * 4))
    count = 16_000
    changes = [PinChange(repository, Tag(f"v{number}"), A, float(number + 1)) for number in range(count)]
    ended(nodes[0].pins.hear(changes))
    fleet.advance(61)
    assert all(len(value) < 256 * 1024 for value, _ in fleet.server.values.values())
    told = nodes[1].pins.changes()
    assert 5000 < len(told) < count
    assert changes[-1] in told
    assert changes[0] not in told
    # Those that are not told stay where they are.
    assert len(nodes[0].pins.changes()) == count


@pytest.mark.parametrize("value", [b"", b"junk", b"[]", bytes(100)])
def test_what_nobody_with_our_secret_has_written_is_not_there(
    fleet: TagFleet, nodes: list[Member], value: bytes
) -> None:
    nodes[0].pin(A)
    fleet.advance(1)
    for part in "0123456789abcdef":
        fleet.server.set(f"fake:pins:{part}", value)
        fleet.server.change("fake:pins", part)
    fleet.server.change("fake:pins", "strange")
    fleet.advance(2)
    assert pinned(*nodes) == [A, A]
    assert fleet.start("late").pinned() == A
    assert fleet.start("stranger", secret=Secret(bytes(range(32)))).pinned() is None


@pytest.mark.parametrize("said", [1, {}, [1], [[]], [["x"] * 5], [["quay.io", "org/name", "v1", str(A), 9e12]]])
def test_what_a_node_of_another_version_says_does_no_harm(fleet: TagFleet, nodes: list[Member], said: object) -> None:
    values, content = fleet.values("pins"), json.dumps(said).encode()

    async def write() -> None:
        for part, value in (await values.read(list("0123456789abcdef"))).items():
            await values.replace(part, value, content, 60)

    ended(Deferred.fromCoroutine(write()))
    fleet.advance(2)
    assert nodes[0].pins.changes() == []
    nodes[0].pin(A)
    fleet.advance(1)
    assert pinned(*nodes) == [A, A]
