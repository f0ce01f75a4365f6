"""The guides, as what stands in them: blocks of text that readers copy."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["DIRECTORY", "blocks", "only", "section"]

DIRECTORY = Path(__file__).parent.parent.parent / "docs" / "guides"

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide: str, language: str, heading: str | None = None) -> list[str]:
    """Return the blocks in a language.

    Arguments:
        guide: the file's name, without its suffix.
        heading: looks in that section alone.
    """
    text = (DIRECTORY / f"{guide}.md").read_text("utf-8")
    return [body for found, body in _FENCED.findall(section(text, heading) if heading else text) if found == language]


def only(guide: str, language: str, heading: str | None = None, *, containing: str = "") -> str:
    """Return the one block in a language that has a word in it."""
    (found,) = (body for body in blocks(guide, language, heading) if containing in body)
    return found


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next of its level or a higher one."""
    level, _, _ = heading.partition(" ")
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"there is no {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
