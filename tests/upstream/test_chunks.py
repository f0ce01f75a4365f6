from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from crproxy.upstream.chunks import add_to


@given(st.lists(st.binary(max_size=20), max_size=10), st.integers(1, 8))
def test_all_of_it_is_there_in_chunks_of_one_size(pieces: list[bytes], size: int) -> None:
    chunks: deque[bytearray] = deque()
    for piece in pieces:
        add_to(chunks, piece, size)
    assert b"".join(chunks) == b"".join(pieces)
    assert all(len(chunk) == size for chunk in list(chunks)[:-1])
    assert not chunks or 0 < len(chunks[-1]) <= size
