"""Where images stand in what is in no known language: lists of names, and lines that say ``image: name``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..image_pages import image_of_page
from .places import Place, Role

__all__ = ["fields_in", "list_in"]

_FIELD = re.compile(r"""image["']?[ \t]*(?::[ \t]+|:(?=["'])|=[ \t]*)["']?""", re.IGNORECASE)
# No longer than a name can be, and a letter more.
_NAME = re.compile(r"""[^\s"',;\]{(\[][^\s"',;\]]{0,1000}""")
_LINE = re.compile(r"[^\r\n]+")
_WORD = re.compile(r"\S+")
_CONTEXT = re.compile(r"docker-image://")


def fields_in(text: str) -> Iterator[Place]:
    """Give what stands behind ``image:`` or ``image =`` in a line: of HCL, TOML, JSON with comments, or anything else.

    Lines that begin with a comment are left out.
    """
    for line in _LINE.finditer(text):
        begin, end = line.span()
        if line[0].lstrip().startswith(("#", "//")):
            continue
        for field in (*_FIELD.finditer(text, begin, end), *_CONTEXT.finditer(text, begin, end)):
            name = _NAME.match(text, field.end(), end)
            if name is not None:
                before = text[field.start() - 1 : field.start()] if field.start() > begin else ""
                is_sure = not (before.isalnum() or before in ("_", "-", "."))
                yield Place(name.start(), name.end(), is_sure=is_sure)


def list_in(text: str) -> list[Place] | None:
    """Return the places of a list that has a name, or a page about an image, on each line; None where it is no list."""
    places = []
    for line in _LINE.finditer(text):
        words = [found.span() for found in _WORD.finditer(line[0].partition(" #")[0])]
        if not words or line[0].lstrip().startswith("#"):
            continue
        if len(words) > 1:
            return None
        start, end = (line.start() + at for at in words[0])
        word = text[start:end]
        if "://" in word and not word.startswith("docker://"):
            if image_of_page(word) is None:
                return None
            places.append(Place(start, end, Role.PAGE))
        elif word.endswith(":") or word[0] in "-{[<\"'":
            return None
        else:
            places.append(Place(start, end))
    return places or None
