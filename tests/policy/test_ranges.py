from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.sizes import LARGEST
from crproxy.policy.ranges import (
    ByteRange,
    RangeNotSatisfiable,
    Slice,
    is_far_ahead,
    is_for,
    parse_content_range,
    parse_ranges,
    unsatisfied_size,
)
from tests.outcomes import outcome

MIB = 1024 * 1024
sizes = st.integers(0, 50)
numbers = st.integers(0, 60)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("bytes=0-", ByteRange(0, None)),
        ("bytes=5-9", ByteRange(5, 9)),
        ("bytes=5-5", ByteRange(5, 5)),
        ("bytes=-500", ByteRange(None, 500)),
        ("bytes= 5-9 ", ByteRange(5, 9)),
        ("bytes=0005-0009", ByteRange(5, 9)),
        ("bytes=5-9,", ByteRange(5, 9)),
        ("bytes=,, 5-9", ByteRange(5, 9)),
    ],
)
def test_one_range_is_understood(value: str, wanted: ByteRange) -> None:
    assert parse_ranges(value) == (wanted,)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "bytes=",
        "bytes=-",
        "bytes=9-5",
        "items=0-1",
        "bytes=a-b",
        "bytes=--1",
        "bytes=1",
        "0-1",
        "bytes=0-\n",
        "bytes=1" + "0" * 19 + "-",
        "bytes=0-" + "9" * 5000,
        "bytes=,",
        "bytes=0-1,x",
        "bytes=0-1,9-5",
        "bytes=0-1,-",
        "bytes=0-1, bytes=3-4",
        "bytes=0-1 3-4",
        "bytes=" + ",".join(["0-0"] * 1025),
    ],
)
def test_what_is_no_range_means_the_whole(value: str | None) -> None:
    assert parse_ranges(value) == ()


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("bytes=0-1,3-4", (ByteRange(0, 1), ByteRange(3, 4))),
        ("bytes=3-4, 0-1\t,", (ByteRange(3, 4), ByteRange(0, 1))),
        ("bytes=-1,0-", (ByteRange(None, 1), ByteRange(0, None))),
        ("bytes=0-0,,5-", (ByteRange(0, 0), ByteRange(5, None))),
        ("bytes=" + ",".join(["0-0"] * 1024), (ByteRange(0, 0),) * 1024),
    ],
)
def test_several_are_understood_in_their_order(value: str, wanted: tuple[ByteRange, ...]) -> None:
    assert parse_ranges(value) == wanted


@pytest.mark.security("S19")
@given(st.text(alphabet=st.sampled_from("0123456789-, \t") | st.characters()))
def test_any_text_is_a_few_ranges_or_the_whole(text: str) -> None:
    for value in (text, f"bytes={text}"):
        found = parse_ranges(value)
        assert len(found) <= 1024
        for one in found:
            assert one.first is not None or one.last is not None
            assert one.first is None or one.last is None or one.first <= one.last


ETAG = '"sha256:abc"'


@pytest.mark.parametrize(
    ("if_range", "counts"),
    [
        (None, True),
        (ETAG, True),
        (f" {ETAG}\t", True),
        (f"W/{ETAG}", False),
        ('"sha256:abd"', False),
        ("sha256:abc", False),
        ("", False),
        ("*", False),
        (f"{ETAG}, {ETAG}", False),
        ("Tue, 15 Nov 1994 12:45:26 GMT", False),
    ],
)
def test_a_range_counts_for_what_it_was_written_for(if_range: str | None, counts: bool) -> None:
    assert is_for(if_range, ETAG) is counts


@pytest.mark.parametrize("digits", ["٣", "３"])
def test_digits_are_ascii(digits: str) -> None:
    assert parse_ranges(f"bytes={digits}-") == ()
    assert parse_content_range(f"bytes 0-{digits}/10") is None


def naive(size: int, first: int | None, last: int | None) -> list[int]:
    """The positions that are meant, by going through all of them (RFC 9110, 14.1.2)."""
    if first is None:
        return [position for position in range(size) if position >= size - (last or 0)]
    return [position for position in range(size) if first <= position and (last is None or position <= last)]


@given(sizes, st.none() | numbers, st.none() | numbers)
def test_a_range_means_what_it_says(size: int, first: int | None, last: int | None) -> None:
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        return
    (wanted,) = parse_ranges(f"bytes={'' if first is None else first}-{'' if last is None else last}")
    assert wanted == ByteRange(first, last)
    positions = naive(size, first, last)
    found = outcome(RangeNotSatisfiable, wanted.of, size)
    if isinstance(found, RangeNotSatisfiable):
        assert positions == []
        assert str(found) == f"bytes */{size}"
    else:
        assert list(range(found.start, found.stop)) == positions
        assert (found.length, found.size) == (len(positions), size)
        assert parse_content_range(found.content_range) == found


@pytest.mark.parametrize(
    ("wanted", "is_so"), [(ByteRange(0, None), True), (ByteRange(0, 5), True), (ByteRange(1, None), False)]
)
def test_a_range_from_the_start_is_known_as_one(wanted: ByteRange, is_so: bool) -> None:
    assert wanted.from_the_start is is_so


def test_the_last_bytes_are_not_from_the_start_whatever_their_number() -> None:
    assert not ByteRange(None, 10**9).from_the_start


def test_a_slice_says_which_bytes_it_is() -> None:
    assert Slice(5, 10, 20).content_range == "bytes 5-9/20"
    assert Slice(5, 10, 20).length == 5


@pytest.mark.parametrize(
    "value",
    [None, "", "bytes */10", "bytes 0-9/*", "bytes 5-4/10", "bytes 0-10/10", "items 0-1/2", "bytes 0-1", "0-1/2", "x"],
)
def test_a_content_range_that_cannot_be_used_is_none(value: str | None) -> None:
    assert parse_content_range(value) is None


@given(st.text())
def test_any_content_range_is_inside_of_its_size_or_none(text: str) -> None:
    found = parse_content_range(f"bytes {text}")
    assert found is None or 0 <= found.start < found.stop <= found.size


@pytest.mark.parametrize(
    ("unwanted", "rate", "requests", "is_far"),
    [
        (0, 0, 1, False),
        (-5, 0, 1, False),
        (4 * MIB, 0, 1, False),
        (4 * MIB + 1, 0, 1, True),
        (100 * MIB, 10 * MIB, 1, True),
        (100 * MIB, 50 * MIB, 1, False),
        (100 * MIB, 10 * MIB, 4, True),
        (100 * MIB, 10 * MIB, 5, False),
    ],
)
def test_a_reader_waits_for_what_will_soon_be_here(unwanted: int, rate: float, requests: int, is_far: bool) -> None:
    assert is_far_ahead(unwanted, rate, requests) is is_far


@pytest.mark.parametrize("size", [LARGEST + 1, 10**19 - 1])
def test_a_content_range_of_more_bytes_than_there_can_be_is_none(size: int) -> None:
    assert parse_content_range(f"bytes 0-9/{size}") is None
    assert parse_content_range(f"bytes 0-9/{LARGEST}") == Slice(0, 10, LARGEST)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("bytes */10", 10),
        (f"bytes */{LARGEST}", LARGEST),
        *((value, None) for value in (None, "", "bytes */*", "bytes 0-9/10", "items */10", "bytes */+1", "bytes */ 1")),
        (f"bytes */{LARGEST + 1}", None),
        ("bytes */" + "9" * 5000, None),
    ],
)
def test_the_size_that_a_range_was_outside_of(value: str | None, size: int | None) -> None:
    assert unsatisfied_size(value) == size
