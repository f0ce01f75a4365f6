from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.fleet.messages import Message, Sender
from crproxy.oci.documents import NotJson
from tests.fleet.test_codecs import anything
from tests.outcomes import outcome

texts = st.text(max_size=20)
amounts = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


@given(
    st.builds(
        Message,
        st.builds(Sender, texts, st.integers(0, 300)),
        st.lists(st.tuples(texts, texts, amounts, amounts)),
        st.lists(st.tuples(texts, texts, st.integers(0, 10**9))),
        st.lists(st.tuples(texts, st.lists(texts), st.none() | texts)),
        st.booleans(),
        st.booleans(),
    )
)
def test_what_is_told_is_what_is_heard(message: Message) -> None:
    assert Message.parse(message.to_json().encode()) == message


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"run": 1, "slot": 0}', b'{"run": "a", "slot": -1}', b"\xff"])
def test_who_does_not_say_who_he_is_is_not_heard(content: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        Message.parse(content)


def test_what_is_wrong_in_it_is_left_out() -> None:
    said = {
        "run": "a",
        "slot": 0,
        "levels": [["all", "total", 1, 2], ["all", "total", -1, 2], ["all", "total", 1, 0], 1, ["all"], None],
        "counts": [["c", "n", 1], ["c", "n", -1], ["c", "n", 1.5], ["c", "n", True], ["c", "n" * 501, 1]],
        "records": [["r", 1, 2], ["r"], [1, 2, 3], "abc"],
        "more": {},
    }
    found = Message.parse(json.dumps(said).encode())
    assert found == Message(Sender("a", 0), [("all", "total", 1, 2)], [("c", "n", 1)], [("r", 1, 2), ("a", "b", "c")])


@given(st.binary() | anything.map(lambda said: json.dumps(said).encode()))
def test_anything_is_heard_or_not(content: bytes) -> None:
    outcome(ValueError, Message.parse, content)


@given(st.dictionaries(st.sampled_from(["levels", "counts", "records", "all", "asks"]), anything))
def test_anything_in_it_is_heard_or_left_out(said: dict[str, Any]) -> None:
    found = outcome(ValueError, Message.parse, json.dumps({"run": "a", "slot": 0, **said}).encode())
    assert isinstance(found, Message | NotJson)
