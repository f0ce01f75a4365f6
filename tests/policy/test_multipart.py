from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.multipart import Framing
from crproxy.policy.ranges import Slice
from tests.multiparts import Part, parts_of, parts_to_the_letter

FRAMING = Framing("0123456789abcdef" * 2, "application/octet-stream")
CONTENT = random.Random(1).randbytes(500)
slices = st.builds(lambda start, length: Slice(start, start + length, 500), st.integers(0, 400), st.integers(1, 100))


def framed(parts: list[Slice], content: bytes = CONTENT) -> bytes:
    return b"".join(FRAMING.head(part) + content[part.start : part.stop] for part in parts) + FRAMING.tail


def test_it_is_written_as_the_specification_has_it() -> None:
    assert framed([Slice(1, 3, 500), Slice(9, 10, 500)], b"abcdefghij") == (
        b"\r\n--0123456789abcdef0123456789abcdef\r\n"
        b"Content-Type: application/octet-stream\r\n"
        b"Content-Range: bytes 1-2/500\r\n"
        b"\r\n"
        b"bc"
        b"\r\n--0123456789abcdef0123456789abcdef\r\n"
        b"Content-Type: application/octet-stream\r\n"
        b"Content-Range: bytes 9-9/500\r\n"
        b"\r\n"
        b"j"
        b"\r\n--0123456789abcdef0123456789abcdef--\r\n"
    )
    assert FRAMING.content_type == "multipart/byteranges; boundary=0123456789abcdef0123456789abcdef"


@given(st.lists(slices, min_size=1, max_size=6))
def test_others_read_the_parts_as_they_are(parts: list[Slice]) -> None:
    body = framed(parts)
    assert FRAMING.length(parts) == len(body)
    meant = [Part(part.start, part.stop - 1, 500, CONTENT[part.start : part.stop]) for part in parts]
    assert parts_to_the_letter(FRAMING.content_type, body) == meant
    assert parts_of(FRAMING.content_type, body) == meant


@pytest.mark.security("S19")
def test_what_is_around_a_part_is_small_whatever_the_size() -> None:
    assert len(FRAMING.head(Slice(2**62, 2**62 + 1, 2**62 + 2))) < 200
