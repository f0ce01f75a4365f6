from __future__ import annotations

import re
import string
from importlib.resources import files

import pytest

from crproxy.policy.pasted_text import Mistake, Note
from crproxy.policy.pull_commands import PullMethod
from crproxy.policy.rewriting.places import Reason
from crproxy.web.page.clients import Client
from crproxy.web.page.texts import TEXTS, Language

ENGLISH = TEXTS[Language.ENGLISH]
PLAIN = ("kept_", "mistake_", "note_", "status_")


def fields(text: str) -> set[str | None]:
    return {field for _, field, _, _ in string.Formatter().parse(text)} - {None}


@pytest.mark.parametrize("language", Language)
def test_every_language_has_the_same_texts(language: Language) -> None:
    assert set(TEXTS[language]) == set(ENGLISH)
    assert all(TEXTS[language].values())


@pytest.mark.parametrize("key", sorted(ENGLISH))
def test_a_text_has_the_same_places_in_every_language(key: str) -> None:
    for texts in TEXTS.values():
        assert fields(texts[key]) == fields(ENGLISH[key])
        assert re.findall(r"<[^>]*>", texts[key]).count("<code>") == ENGLISH[key].count("<code>")


@pytest.mark.parametrize("language", Language)
def test_what_the_script_shows_has_no_markup(language: Language) -> None:
    for key, text in TEXTS[language].items():
        assert not key.startswith(PLAIN) or not re.search("[<>&]", text), key


def test_there_is_a_text_for_all_that_can_be_said() -> None:
    needed = {f"mistake_{mistake.name.lower()}" for mistake in Mistake if mistake is not Mistake.NOTHING}
    needed |= {f"note_{note.name.lower()}" for note in Note}
    needed |= {f"way_{kind.value}{about}" for kind in PullMethod for about in ("", "_about")}
    needed |= {f"setup_{client}{about}" for client in Client for about in ("", "_about")}
    needed |= {f"kept_{reason.name.lower()}" for reason in Reason if reason.is_told}
    assert needed <= set(ENGLISH)


def test_no_text_is_there_for_nothing() -> None:
    package = files("crproxy.web.page")
    sources = [
        *(package / "templates").iterdir(),
        package / "page.py",
        package / "converting.py",
        package / "pasted_files.py",
    ]
    read = "\n".join(source.read_text("utf-8") for source in sources)
    built = ("kept_", "mistake_", "note_", "way_", "setup_")
    assert [key for key in ENGLISH if not key.startswith(built) and f'"{key}"' not in read] == []
