from __future__ import annotations

import re
import string
from importlib.resources import files

import pytest

from crproxy.admin.page.sections import PARTS, SORTS
from crproxy.admin.page.texts import TEXTS
from crproxy.policy.advice import Advice
from crproxy.tls.plan import State
from crproxy.web.page.texts import Language

ENGLISH = TEXTS[Language.ENGLISH]
ACTIONS = ("remove", "pin", "unpin", "tag_pin", "tag_unpin", "warm", "verify", "verify_image")


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
        assert re.findall(r"<[^>]*>", texts[key]) == re.findall(r"<[^>]*>", ENGLISH[key])


def test_there_is_a_text_for_all_that_can_be_said() -> None:
    needed = {f"advice_{advice}" for advice in Advice} | {f"certificate_{state.value}" for state in State}
    needed |= {f"{kind}_{action}" for kind in ("do", "done") for action in ACTIONS}
    # What it comes to is a pin.
    needed.add("do_tag_rollback")
    needed |= {f"sort_{sort}" for sort in SORTS} | set(PARTS)
    needed |= {f"{kind}_{period}" for kind in ("bytes", "rate", "table") for period in ("day", "month")}
    assert needed <= set(ENGLISH)


def test_no_text_is_there_for_nothing() -> None:
    templates = (files("crproxy.web.page") / "templates").iterdir()
    read = "\n".join(file.read_text("utf-8") for file in templates if file.name.startswith("operator"))
    built = ("advice_", "certificate_", "do_", "done_", "sort_", "ago_", "job_", "bytes_", "rate_", "table_", *PARTS)
    assert [key for key in ENGLISH if not key.startswith(built) and f'"{key}"' not in read] == []


def test_every_part_has_a_template() -> None:
    names = {file.name for file in (files("crproxy.web.page") / "templates").iterdir()}
    assert {f"operator_{part}.html" for part in PARTS} <= names
