from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from crproxy.web.page.rendering import Words, _date, render
from crproxy.web.page.texts import Language


def test_a_day_is_written_so_that_everybody_reads_it() -> None:
    assert _date(1_800_000_000.0) == "2027-01-15"


def test_what_is_put_into_a_text_is_escaped() -> None:
    text = Words(Language.ENGLISH)("lead", base="<b>&")
    assert "<code>&lt;b&gt;&amp;</code>" in text


def test_a_template_does_without_nothing() -> None:
    with pytest.raises(UndefinedError):
        render("page.html")
