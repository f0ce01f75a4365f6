from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from crproxy.web.page.rendering import Words, _date, _percent, _size, render
from crproxy.web.page.texts import Language


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (120 * 1024, "120 KiB"),
        (20 * 1024**3, "20.0 GiB"),
        (1023 * 1024**2, "1.0 GiB"),
        (5000 * 1024**5, "5000 PiB"),
    ],
)
def test_bytes_are_for_people(count: int, text: str) -> None:
    assert _size(count) == text


@pytest.mark.parametrize(
    ("part", "text"), [(0.0, "0 %"), (0.001, "1 %"), (0.5, "50 %"), (0.999, "99 %"), (1.0, "100 %")]
)
def test_all_and_nothing_are_said_only_where_they_are_true(part: float, text: str) -> None:
    assert _percent(part) == text


def test_a_day_is_written_so_that_everybody_reads_it() -> None:
    assert _date(1_800_000_000.0) == "2027-01-15"


def test_what_is_put_into_a_text_is_escaped() -> None:
    text = Words(Language.ENGLISH)("lead", base="<b>&")
    assert "<code>&lt;b&gt;&amp;</code>" in text


def test_a_template_does_without_nothing() -> None:
    with pytest.raises(UndefinedError):
        render("page.html")
