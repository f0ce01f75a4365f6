from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.sizes import LARGEST, is_size, parse_size


@given(st.integers(0, LARGEST))
def test_a_size_is_read(size: int) -> None:
    assert parse_size(str(size)) == size
    assert is_size(size)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " 5",
        "+5",
        "-5",
        "5.0",
        "0x5",
        "5_0",
        "٣",
        "²",
        "5, 5",
        str(2**63),
        "9" * 19,
        "9" * 5000,
        "0" * 20,
        "nan",
    ],
)
def test_what_is_no_size_is_none(text: str | None) -> None:
    assert parse_size(text) is None


@pytest.mark.parametrize("value", [None, "5", 5.0, -1, 2**63, True, False, float("inf"), [], {}])
def test_what_a_document_may_say_instead(value: object) -> None:
    assert not is_size(value)
