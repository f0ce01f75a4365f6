"""Text as man(7) has it: what is in it is no request, and what is typed can be copied."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator

__all__ = ["as_it_is", "escaped", "line", "options", "text", "wrapped"]

# A backslash first: it is in the others.
_TYPED = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
# What click's own help knows: this paragraph is left as it is.
_AS_IT_IS = "\b\n"


def escaped(plain: str) -> str:
    """Return text as roff prints it: nothing in it is a request, and a hyphen is what can be typed."""
    for found, typed in _TYPED.items():
        plain = plain.replace(found, typed)
    return plain


def line(plain: str) -> str:
    """Return a line of its own."""
    found = escaped(plain)
    return rf"\&{found}" if found.startswith(".") else found


def wrapped(plain: str) -> Iterator[str]:
    """Give running text in lines that people can read."""
    yield from map(line, textwrap.wrap(" ".join(plain.split()), 70, break_long_words=False, break_on_hyphens=False))


def as_it_is(lines: Iterable[str]) -> Iterator[str]:
    """Give lines that stay as they are."""
    yield from (".RS 4", ".EX")
    for each in lines:
        yield line(each)
    yield from (".EE", ".RE")


def options(records: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Give names, and what each is."""
    for names, meaning in records:
        yield ".TP"
        yield rf"\fB{escaped(names)}\fR"
        yield from wrapped(meaning)


def text(docstring: str) -> Iterator[str]:
    """Give a docstring, paragraph by paragraph."""
    for number, paragraph in enumerate(re.split(r"\n{2,}", inspect.cleandoc(docstring))):
        if paragraph.startswith(_AS_IT_IS):
            heading, *lines = paragraph.removeprefix(_AS_IT_IS).splitlines()
            yield from (".PP", line(heading))
            yield from as_it_is(each.strip() for each in lines)
            continue
        # Behind a heading there is a paragraph already.
        if number:
            yield ".PP"
        yield from wrapped(paragraph.replace("``", ""))
