from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.fields import read_quoted


@given(st.text(), st.text(), st.text())
def test_what_was_quoted_is_read_and_what_follows_is_left(before: str, text: str, behind: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    whole = before + quoted + behind
    assert read_quoted(whole, len(before)) == (text, len(before) + len(quoted))


@pytest.mark.parametrize("text", ['"', '"a', '"\\', '"\\"', '"a\\\\\\"'])
def test_what_does_not_end_is_nothing(text: str) -> None:
    assert read_quoted(text, 0) is None
