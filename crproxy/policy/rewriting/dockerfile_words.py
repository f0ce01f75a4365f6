"""A Dockerfile's instructions as words with their places: over continued lines, past comments and here-documents."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Word", "instructions"]

# Quotes hold spaces together; one that does not end is a letter like others.
_WORD = re.compile(r"""(?:[^\s"']|"[^"\n]*"|'[^'\n]*'|["'])+""")
_HERE = re.compile(r"""\d*<<(-?)(["']?)([A-Za-z_][A-Za-z0-9_.]*)\2""")
_WITH_DOCUMENTS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of an instruction.

    Arguments:
        start, end: of its characters.
        is_broken: a line ends inside of it.
    """

    start: int
    end: int
    is_broken: bool = False


def instructions(text: str, escape: str) -> Iterator[list[Word]]:
    """Give the words of each instruction.

    Arguments:
        escape: what continues a line at its end.
    """
    pieces: list[tuple[int, int]] = []
    documents: list[tuple[str, bool]] = []
    for start, end in _lines(text):
        line = text[start:end]
        if documents:
            name, tabs = documents[0]
            if (line.lstrip("\t") if tabs else line).rstrip("\r") == name:
                documents.pop(0)
            continue
        bare = line.rstrip()
        if not bare or bare.lstrip().startswith("#"):
            # Inside of an instruction, too.
            continue
        continued = bare.endswith(escape)
        pieces.append((start, start + len(bare) - (len(escape) if continued else 0)))
        if not continued:
            words = _words(text, pieces)
            documents = _documents(text, words)
            pieces = []
            if words:
                yield words
    if pieces and (words := _words(text, pieces)):
        yield words


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def _words(text: str, pieces: list[tuple[int, int]]) -> list[Word]:
    joined = "".join(text[start:end] for start, end in pieces)
    offsets, length = [], 0
    for start, end in pieces:
        offsets.append(length)
        length += end - start

    def at(position: int) -> int:
        piece = bisect.bisect_right(offsets, position) - 1
        return pieces[piece][0] + position - offsets[piece]

    words = []
    for found in _WORD.finditer(joined):
        start, end = at(found.start()), at(found.end() - 1) + 1
        words.append(Word(start, end, end - start != len(found[0])))
    return words


def _documents(text: str, words: list[Word]) -> list[tuple[str, bool]]:
    """Return the here-documents that follow an instruction: what ends each, and whether tabs may precede that."""
    if not words or text[words[0].start : words[0].end].upper() not in _WITH_DOCUMENTS:
        return []
    found = (_HERE.fullmatch(text[word.start : word.end]) for word in words[1:])
    return [(one[3], one[1] == "-") for one in found if one is not None]
