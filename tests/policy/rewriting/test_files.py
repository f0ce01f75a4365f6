"""Files of every kind: their names are rewritten, and nothing else."""

from __future__ import annotations

import re

import pytest

from crproxy.policy.pull_commands import PullMethod
from crproxy.policy.rewriting import Renaming, rewrite
from tests.policy.rewriting.files import FILES
from tests.policy.rewriting.proxies import ALIASES, DOMAIN, renaming

MARKED = re.compile(r"«([^«»|]*)(?:\|([^«»]*))?»")


def before(marked: str) -> str:
    """The file as people have it."""
    return MARKED.sub(lambda found: found[1], marked)


def after(marked: str, form: PullMethod) -> str:
    """The file as it is to be: told from its marks by a rule of this test's own."""

    def replaced(found: re.Match[str]) -> str:
        return found[2] if found[2] is not None else named(found[1], form)

    return MARKED.sub(replaced, marked)


def named(name: str, form: PullMethod) -> str:
    first, slash, rest = name.partition("/")
    if not slash and first in ("docker.io", "quay.io", "registry.k8s.io"):
        registry, path = first, ""
    elif slash and ("." in first or ":" in first):
        registry, path = first, f"/{rest}"
    else:
        registry, path = "docker.io", f"/{name}"
    if form is PullMethod.ALIAS and registry in ALIASES:
        return ALIASES[registry] + path
    return f"{DOMAIN}/{registry}{path}"


@pytest.mark.parametrize("kind", FILES)
def test_only_names_are_changed(kind: str) -> None:
    name, marked = FILES[kind]
    found = rewrite(before(marked), renaming(), name)
    assert found.text == after(marked, PullMethod.PREFIX)


@pytest.mark.parametrize("kind", [kind for kind in FILES if "|" not in re.sub(r"[^«»|]", "", FILES[kind][1])])
def test_by_aliases_as_well(kind: str) -> None:
    name, marked = FILES[kind]
    found = rewrite(before(marked), renaming(PullMethod.ALIAS), name)
    assert found.text == after(marked, PullMethod.ALIAS)


@pytest.mark.parametrize("kind", FILES)
def test_what_was_rewritten_stays(kind: str) -> None:
    name, marked = FILES[kind]
    once = rewrite(before(marked), renaming(), name).text
    assert rewrite(once, renaming(), name).text == once
    assert rewrite(once, renaming(PullMethod.ALIAS), name).text == once


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in ("tools", "development container")])
def test_the_language_is_known_without_the_files_name(kind: str) -> None:
    """But for a script that is none by its first line: a pasted file has no name."""
    name, marked = FILES[kind]
    with_name: Renaming = renaming()
    assert rewrite(before(marked), with_name).text == rewrite(before(marked), with_name, name).text


def test_there_are_thirty_kinds() -> None:
    assert len(FILES) >= 30
