from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.documents import VALUES_LIMIT, DuplicateKey, NotJson, TooManyValues, parse_json
from crproxy.oci.manifests import MANIFEST_LIMIT, references

# The worst of these took 30 ms, where one took 2 s before. A machine that is slow is not fifteen times slower.
SECONDS = 0.5

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_what_json_says_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@given(st.binary())
def test_anything_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(NotJson):
        parse_json(content)


@pytest.mark.security("S17")
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"x", b"\xff", b"[1", b"{'a': 1}", b"NaN", b"Infinity", b"[-Infinity]", b"1e400", b"[-1e400]"),
        *(b"9" * 21, b"9" * 5000, b"-" + b"9" * 5000, b"[" * 30_000, b'{"a":' * 10_000, b"\xed\xa0\x80"),
    ],
)
def test_what_is_no_json_of_ours_is_refused(content: bytes) -> None:
    with pytest.raises(NotJson):
        parse_json(content)


@given(values)
def test_no_key_is_twice(value: Any) -> None:
    content = json.dumps(value).encode()
    assert parse_json(content, unique=True) == parse_json(content)


@pytest.mark.parametrize("content", [b'{"a": 1, "a": 1}', b'[{"a": {"b": 1, "b": 2}}]', b'{"a": 1, "\\u0061": 2}'])
def test_a_key_that_is_twice_is_refused_where_that_matters(content: bytes) -> None:
    parse_json(content)
    with pytest.raises(DuplicateKey):
        parse_json(content, unique=True)


@pytest.mark.security("S17")
def test_s17_there_is_an_end_to_the_values_in_a_document() -> None:
    assert len(parse_json(b"[" + b"0," * (VALUES_LIMIT - 1) + b"0]")) == VALUES_LIMIT
    for piece in (b"0,", b"[],", b'"",'):
        with pytest.raises(TooManyValues):
            parse_json(b"[" + piece * VALUES_LIMIT + b"0]")


def filled(piece: bytes, before: bytes = b"[", behind: bytes = b"0]", times: int = VALUES_LIMIT) -> bytes:
    room = MANIFEST_LIMIT - len(before) - len(behind)
    return before + piece * min(room // len(piece), times) + behind


# Manifests of 4 MiB, or with as many values as are read, that take the longest of their kind.
WORST = {
    "brackets": b"[" * MANIFEST_LIMIT,
    "lists in lists": b"[" + b",".join([b"[" * 900 + b"]" * 900] * 2000) + b"]",
    "as many as are read": b"[" + b",".join([b"[" * 900 + b"]" * 900] * 36) + b"]",
    "empty objects": filled(b"{},", times=MANIFEST_LIMIT),
    "keys": b"{" + b",".join(b'"%0120d":0' % number for number in range(VALUES_LIMIT - 1)) + b"}",
    "long numbers": filled(b"1." + b"7" * 120 + b"e-20,", times=VALUES_LIMIT - 2),
    "long integers": filled(b"9" * 4299 + b","),
    "escapes": b'["' + b"\\n" * (MANIFEST_LIMIT // 2 - 2) + b'"]',
    "characters": ('["' + "é\\n" * (MANIFEST_LIMIT // 4 - 2) + '"]').encode(),
    "what is no descriptor": filled(
        b'{"mediaType":"a","digest":"' + b"x" * 1900 + b'","size":1},', b'{"layers":[', b"0]}", 1990
    ),
}


@pytest.mark.security("S17")
@pytest.mark.parametrize("content", WORST.values(), ids=WORST.keys())
def test_s17_no_manifest_holds_its_reader_up(content: bytes) -> None:
    assert len(content) <= MANIFEST_LIMIT + 1
    least = float("inf")
    for _ in range(3):
        began = time.thread_time()
        references(content)
        least = min(least, time.thread_time() - began)
    assert least < SECONDS
