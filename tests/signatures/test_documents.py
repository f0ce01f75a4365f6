"""Documents of strangers, and what is in them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.signatures import NotSigned
from crproxy.signatures.documents import decoded, item, items, mapping, text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


def test_an_object_is_read() -> None:
    assert mapping(b'{"a": [1, "b"]}', 100, "it") == {"a": [1, "b"]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x", "it cannot be read: it is no JSON"),
        (b"", "it cannot be read"),
        (b"[]", "it is no object of JSON"),
        (b"null", "it is no object of JSON"),
        (b'{"a": 1, "a": 2}', "it cannot be read: a key is twice in an object of it"),
        (b'{"a": {"b": 1, "b": 1}}', "a key is twice"),
        (b'{"a": NaN}', "it is no JSON"),
        (b"[" * 90, "it is no JSON"),
        (b"{" + b" " * 100 + b"}", "it has more than 100 bytes"),
        (b'{"a": "\xff"}', "it is no JSON"),
    ],
)
def test_other_documents_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(NotSigned, match=words):
        mapping(content, 100, "it")


def test_many_values_are_not_read() -> None:
    with pytest.raises(NotSigned, match="more than 32768 values"):
        mapping(b'{"a": [' + b"1," * 40_000 + b"1]}", 1_000_000, "it")


@given(VALUES, st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
def test_what_is_looked_for_is_there_or_not(document: Any, keys: list[str]) -> None:
    found = item(document, *keys)
    assert items(document, *keys) == (found if isinstance(found, list) else [])
    assert text(document, *keys) == (found if isinstance(found, str) else "")


@given(st.binary(min_size=1))
def test_base64_is_decoded(content: bytes) -> None:
    assert decoded(base64.b64encode(content).decode(), "it") == content


@pytest.mark.parametrize("written", ["!", "AAA", "AA==\n", "AA-_", "\N{SNOWMAN}", "A" * 5, "\ud800"])
def test_other_texts_are_not(written: str) -> None:
    with pytest.raises(NotSigned, match="it is no base64"):
        decoded(written, "it")


def test_nothing_is_no_signature() -> None:
    with pytest.raises(NotSigned, match="it is empty"):
        decoded("", "it")
