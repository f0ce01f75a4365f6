from __future__ import annotations

from crproxy.forward.authority import Authority
from crproxy.forward.leaves import LEAF_SECONDS, Leaves

NAMES = frozenset({"ghcr.io", "quay.io"})
NOW = 1_800_000_000.0


class World:
    def __init__(self) -> None:
        self.now = NOW
        self.authority: Authority | None = Authority.new(NAMES, NOW)
        self.leaves = Leaves(lambda name: self.authority if name in NAMES else None, lambda: self.now)


def test_a_certificate_is_made_once() -> None:
    world = World()
    first = world.leaves.find("ghcr.io")
    assert first is not None
    assert first.names == {"ghcr.io"}
    assert world.leaves.find("ghcr.io") is first


def test_all_have_one_key() -> None:
    """No key is made for a connection, or for a name."""
    world = World()
    ghcr, quay = world.leaves.find("ghcr.io"), world.leaves.find("quay.io")
    assert ghcr is not None
    assert quay is not None
    assert ghcr.key is quay.key


def test_half_of_its_time_is_always_left() -> None:
    world = World()
    first = world.leaves.find("ghcr.io")
    world.now += LEAF_SECONDS / 2 - 1
    assert world.leaves.find("ghcr.io") is first
    world.now += 1
    second = world.leaves.find("ghcr.io")
    assert second is not None
    assert second is not first
    assert second.not_after == world.now + LEAF_SECONDS


def test_with_another_ca_it_is_made_anew() -> None:
    world = World()
    first = world.leaves.find("ghcr.io")
    world.authority = Authority.new(NAMES, NOW)
    assert world.leaves.find("ghcr.io") is not first


def test_a_clock_that_was_set_back_has_it_made_anew() -> None:
    world = World()
    world.now += 1000 * LEAF_SECONDS
    first = world.leaves.find("ghcr.io")
    world.now = NOW
    assert world.leaves.find("ghcr.io") is not first


def test_nothing_is_made_or_remembered_for_other_names() -> None:
    world = World()
    for number in range(1000):
        assert world.leaves.find(f"a{number}.test") is None
    assert len(world.leaves) == 0


def test_without_a_ca_there_is_none() -> None:
    world = World()
    world.authority = None
    assert world.leaves.find("ghcr.io") is None
