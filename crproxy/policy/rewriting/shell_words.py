"""A shell script's commands as words with their places: enough of the grammar to know where a command ends.

Grammar: POSIX shell command language, 2.3, "Token recognition". Here-documents are read as commands: what in them is
none does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Word", "commands"]

_BLANK = re.compile(r"(?:[ \t]|\\\r?\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_END = re.compile(r"[;&|()`\r\n]+")
_LETTERS = re.compile(r"""[^\s;&|()`'"\\$]+""")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\$`]|\$(?!\())*)"')
_SUBSTITUTION = re.compile(r"\$\([^()\n]*\)")


@dataclass(frozen=True, slots=True)
class Word:
    """A word.

    Arguments:
        start, end: of its characters, without quotes around all of it.
        is_plain: it reads as it is written.
    """

    start: int
    end: int
    is_plain: bool = True


def commands(text: str) -> Iterator[list[Word]]:
    """Give the words of each simple command in ``text``."""
    words: list[Word] = []
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
        elif text[position] == "#":
            position = _end_of(_COMMENT, text, position)
        elif end := _END.match(text, position):
            position = end.end()
            if words:
                yield words
            words = []
        else:
            word, position = _word(text, position)
            words.append(word)
    if words:
        yield words


def _word(text: str, start: int) -> tuple[Word, int]:
    """Return the word that begins at ``start``, and where it ends with its quotes."""
    for quoted in (_SINGLE, _DOUBLE):
        found = quoted.match(text, start)
        if found is not None and (found.end() == len(text) or not _goes_on(text, found.end())):
            return Word(*found.span(1)), found.end()
    position, is_plain = start, True
    while position < len(text) and _goes_on(text, position):
        after, reads_so = _piece(text, position, start)
        if after == position:
            break
        position, is_plain = after, is_plain and reads_so
    if position == start:
        # A character that begins nothing here, such as a form feed.
        position += 1
    return Word(start, position, is_plain), position


def _goes_on(text: str, position: int) -> bool:
    return not (text[position].isspace() or text[position] in ";&|()`" or text.startswith(("\\\n", "\\\r\n"), position))


def _piece(text: str, position: int, start: int) -> tuple[int, bool]:
    """Return where the next piece of a word ends, and whether it reads as it is written."""
    if letters := _LETTERS.match(text, position):
        return letters.end(), True
    match text[position]:
        case "\\":
            return min(position + 2, len(text)), False
        case "$":
            # What it puts out is a part of this word, unless it is all of a value: then it is a command to read.
            found = _SUBSTITUTION.match(text, position) if position > start and text[position - 1] != "=" else None
            return (position + 1 if found is None else found.end()), True
        case _:
            found = _SINGLE.match(text, position) or _DOUBLE.match(text, position)
            return (position + 1 if found is None else found.end()), False


def _end_of(expression: re.Pattern[str], text: str, position: int) -> int:
    found = expression.match(text, position)
    return position + 1 if found is None else found.end()
