from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.fleet.about import About, read_about

NODE = {"name": "node-1", "version": "1.0", "flights": 2, "stored": 3}


@given(st.builds(About, st.text(), st.text(), st.integers(0), st.integers(0)))
def test_it_is_read_as_it_was_sent(about: About) -> None:
    assert read_about(about.as_json()) == about


def test_what_a_later_version_says_as_well_is_passed_over() -> None:
    assert read_about(json.dumps({**NODE, "more": []}).encode()) == About("node-1", "1.0", 2, 3)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        *(json.dumps({**NODE, name: None}).encode() for name in NODE),
        json.dumps({**NODE, "flights": True}).encode(),
        json.dumps({**NODE, "stored": 1.5}).encode(),
    ],
    ids=lambda sent: sent[:40],
)
def test_anything_else_is_refused(sent: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own are among them
        read_about(sent)


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_nothing_else_comes_of_it(sent: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_about(sent)
