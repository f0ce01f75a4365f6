from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest
from crproxy.policy.denied_digests import parse_denied

A, B = (Digest.of(content) for content in (b"a", b"b"))


def test_digests_are_one_a_line_with_words_behind_them() -> None:
    text = f"# bad\n\n{A}\n  {B}   the miner # CVE\n{A}\n"
    assert parse_denied(text) == {A, B}
    assert parse_denied("") == frozenset()


@pytest.mark.parametrize("line", ["sha256:12", "nginx", f"x {A}", "sha256:" + "g" * 64])
def test_what_is_none_is_told_with_its_line(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 2: .* is no digest: write sha256:"):
        parse_denied(f"{A}\n{line}\n")


@given(st.lists(st.one_of(st.text(), st.just(str(A)), st.just(f"{B} x")), max_size=5).map("\n".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(str(digest) in text for digest in parse_denied(text))
