from __future__ import annotations

from crproxy.oci.digests import Digest
from crproxy.store.entries import Entry
from crproxy.store.memory import Memory

A, B, C = (Entry(Digest.of(content)) for content in (b"a", b"b", b"c"))


def test_what_was_not_asked_for_longest_goes_first() -> None:
    memory = Memory(10)
    memory.put(A, b"aaaa")
    memory.put(B, b"bbbb")
    assert memory.get(A) == b"aaaa"
    memory.put(C, b"cccc")
    assert [memory.get(entry) for entry in (A, B, C)] == [b"aaaa", None, b"cccc"]
    assert memory.bytes == 8


def test_what_is_put_again_takes_the_place_of_what_was() -> None:
    memory = Memory(10)
    memory.put(A, b"aaaa")
    memory.put(A, b"a")
    assert (memory.get(A), memory.bytes) == (b"a", 1)


def test_what_is_larger_than_all_of_it_is_not_held() -> None:
    memory = Memory(10)
    memory.put(A, b"a" * 11)
    assert (memory.get(A), memory.bytes) == (None, 0)


def test_what_is_forgotten_takes_no_room() -> None:
    memory = Memory(10)
    memory.put(A, b"aaaa")
    memory.forget(A)
    memory.forget(A)
    assert (memory.get(A), memory.bytes) == (None, 0)
