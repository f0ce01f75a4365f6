from __future__ import annotations

import pytest

from crproxy.config import Page
from tests.configs import loaded, mistake


def test_without_a_word_people_see_the_page_and_no_state() -> None:
    assert loaded().page == Page(redirect=None, state=False)


def test_what_is_said_is_read() -> None:
    page = loaded('[page]\nredirect = "https://example.com/wiki?x=1"\nstate = true\n').page
    assert page == Page("https://example.com/wiki?x=1", state=True)


def test_an_empty_redirect_is_none() -> None:
    assert loaded('[page]\nredirect = ""\n').page.redirect is None


@pytest.mark.parametrize(
    "url", ["example.com", "/wiki", "//example.com/", "javascript:alert(1)", "https://a@b/", "https://ex ample.com/"]
)
def test_people_are_sent_to_a_url_only(url: str) -> None:
    assert mistake(f'[page]\nredirect = "{url}"\n').startswith("line 2: page.redirect: ")


def test_an_unknown_key_is_a_mistake() -> None:
    assert "line 2: page.stat: there is no such key; did you mean state?" in mistake("[page]\nstat = true\n")
