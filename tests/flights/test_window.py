from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from crproxy.flights.window import FellBehind, Window
from crproxy.oci.digests import Digest, Verifier
from tests.sources import HandBody

CHUNK, MIB = 256 * 1024, 1024 * 1024


def window(content: bytes, start: int = 0, limit: int = 2 * CHUNK, grown: list[int] | None = None) -> Window:
    told = [] if grown is None else grown
    verifier = Verifier(Digest.of(content))
    verifier.update(content[:start])
    return Window(start, verifier, told.append, limit)


@given(st.integers(0, 3 * CHUNK), st.lists(st.integers(0, 2 * CHUNK), max_size=8), st.integers(1, 2 * CHUNK))
def test_what_is_in_it_is_what_came(start: int, sizes: list[int], wanted: int) -> None:
    content = bytes(number * 31 % 251 for number in range(256)) * ((start + sum(sizes)) // 256 + 1)
    content, grown = content[: start + sum(sizes)], list[int]()
    held = window(content, start, grown=grown)
    for size in sizes:
        held.write(content[held.end : held.end + size])
        held.reach(held.end)
    assert held.end == len(content)
    assert held.verifier is not None
    assert held.verifier.matches()
    assert grown == sorted(grown)
    first = held.start
    assert held.end - first <= 3 * CHUNK
    if first > start:
        assert held.end - first >= 2 * CHUNK, "no more is let go of than has to be"
        with pytest.raises(FellBehind, match=f"those from {first} on"):
            held.read(first - 1, wanted)
    position = first
    while position < held.end:
        piece = held.read(position, wanted)
        assert 0 < len(piece) <= wanted
        assert piece == content[position : position + len(piece)]
        position += len(piece)
    assert not held.has(held.end + 1)


def test_what_is_over_is_not_held() -> None:
    """Windows are parts of cycles: what they hold would stay until the garbage collector comes, for many transfers."""
    held = window(b"", limit=16 * MIB)
    tracemalloc.start()
    try:
        held.write(bytes(8 * MIB))
        assert tracemalloc.get_traced_memory()[0] > 8 * MIB
        held.forget()
        assert tracemalloc.get_traced_memory()[0] < MIB
    finally:
        tracemalloc.stop()
    assert not held.has(0)
    assert held.has(8 * MIB)


def test_what_somebody_is_expected_to_read_is_held_until_then() -> None:
    producer, held = HandBody(None, Clock()), window(b"", limit=2 * CHUNK)
    held.registerProducer(producer, True)
    held.expect()
    held.write(bytes(CHUNK))
    held.reach(CHUNK)
    flowing = [producer.is_flowing]
    held.write(bytes(CHUNK))
    held.reach(2 * CHUNK)
    # The fastest has read it, and who comes has not.
    flowing.append(producer.is_flowing)
    assert held.has(0)
    held.expect_no_more()
    flowing.append(producer.is_flowing)
    assert flowing == [True, False, True]
