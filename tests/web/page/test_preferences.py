from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.web.page.preferences import language_of, wants_html
from crproxy.web.page.texts import Language

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (CHROMIUM, True),
        ("text/html", True),
        ("TEXT/HTML;charset=utf-8", True),
        ("text/html;q=0.5, text/plain;q=0.1", True),
        ("text/html;q=0.1, text/plain", False),
        ("text/html;q=0", False),
        ("*/*", False),
        ("application/json, */*", False),
        ("text/plain", False),
        ("", False),
        (None, False),
        ("text/html;q=much", True),
    ],
)
def test_html_is_for_those_who_name_it(accept: str | None, html: bool) -> None:
    assert wants_html(accept) is html


@pytest.mark.parametrize(
    ("chosen", "header", "language"),
    [
        (None, None, Language.ENGLISH),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", Language.CHINESE),
        (None, "zh", Language.CHINESE),
        (None, "ZH-Hant-TW", Language.CHINESE),
        (None, "en-GB,en;q=0.9,zh;q=0.8", Language.ENGLISH),
        (None, "en;q=0.2, zh;q=0.7", Language.CHINESE),
        (None, "de, fr;q=0.9", Language.ENGLISH),
        (None, "de, zh;q=0.3", Language.CHINESE),
        (None, "zh;q=0", Language.ENGLISH),
        ("zh", "en", Language.CHINESE),
        ("en", "zh", Language.ENGLISH),
        ("xx", "zh", Language.CHINESE),
    ],
)
def test_a_choice_counts_before_the_header(chosen: str | None, header: str | None, language: Language) -> None:
    assert language_of(chosen, header) is language


@given(header=st.text(max_size=200))
def test_any_header_is_answered(header: str) -> None:
    assert wants_html(header) in (True, False)
    assert language_of(None, header) in Language
