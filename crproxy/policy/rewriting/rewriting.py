"""A text with its names rewritten: found by the rules of its language, changed where each stands, and nowhere else."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

from . import dockerfile, plain_lines, shell, yaml_places
from .file_text import BOM
from .kinds import Kind, kind_of
from .places import Place, Reason
from .renaming import Renaming
from .templates import covered
from .yaml_tree import Node, Scalar, Unreadable, documents

__all__ = ["Change", "Kept", "Rewriting", "TooMany", "rewrite"]


@dataclass(frozen=True, slots=True)
class Change:
    """A name that was rewritten.

    Arguments:
        line: where it stands, from 1.
        before, after: as it was, and as it is.
    """

    line: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A name that stays as it is, though it stands where an image does."""

    line: int
    name: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What became of a text.

    Arguments:
        text: with the changes.
        changes: from its beginning on.
        kept: what people have to look at themselves.
        unread_from: the line from which on it could not be read as YAML, so that only lines which say ``image:`` and
            commands were; None where all was read.
    """

    text: str
    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    unread_from: int | None = None


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str
    change: Change


class TooMany(ValueError):
    """There are more names than were to be looked at."""


def rewrite(text: str, renaming: Renaming, name: str = "", most: int | None = None) -> Rewriting:
    """Return ``text`` with its names rewritten. Whatever the text is, nothing else is raised.

    Arguments:
        renaming: says what stands in place of a name.
        name: of the file, which may tell its language; empty where it has none.
        most: names that are looked at; None is any number.

    Raises:
        TooMany: there are more.
    """
    if text.startswith(BOM):
        rest = rewrite(text[len(BOM) :], renaming, name, most)
        return Rewriting(BOM + rest.text, rest.changes, rest.kept, rest.unread_from)
    places, unread_from = _places(text, kind_of(text, name))
    if most is not None and len(places) > most:
        raise TooMany(f"there are {len(places)} names in this, and {most} are looked at")
    lines = _Lines(text)
    edits: list[_Edit] = []
    kept: list[Kept] = []
    last = -1
    # Of two that stand in one place, the first that was found counts.
    for place in sorted(places, key=lambda place: (place.start, place.end)):
        if place.start < last or place.start >= place.end:
            continue
        old = text[place.start : place.end]
        if not place.is_sure and not renaming.looks_like_image(old):
            continue
        last = place.end
        new = renaming.renamed(old, place.role)
        if place.reason is not None and new is not Reason.OURS:
            new = place.reason
        line = lines.of(place.start)
        if isinstance(new, Reason):
            if new.is_told and (place.is_sure or new is not Reason.NOT_A_NAME):
                kept.append(Kept(line, old, new))
        elif place.insert_at is not None:
            change = Change(line, old, new)
            edits.append(_Edit(place.insert_at, place.insert_at, place.before + new + place.behind, change))
        else:
            edits.append(_Edit(place.start, place.end, new, Change(line, old, new)))
    changes = tuple(edit.change for edit in edits)
    return Rewriting(_edited(text, edits), changes, tuple(kept), unread_from)


def _places(text: str, kind: Kind) -> tuple[list[Place], int | None]:
    if kind is Kind.DOCKERFILE:
        return list(dockerfile.places_in(text)), None
    if kind is Kind.SHELL:
        return list(shell.places_in(text)), None
    listed = plain_lines.list_in(text) if kind is Kind.UNKNOWN else None
    if listed is not None:
        return listed, None
    readable = _readable(text)
    roots: list[Node] = []
    try:
        roots += documents(readable)
    except Unreadable as error:
        return [*_by_lines(readable)], error.line
    if kind is Kind.UNKNOWN and all(isinstance(root, Scalar) for root in roots):
        return [*_by_lines(readable)], None
    return list(yaml_places.places_in(readable, roots)), None


def _by_lines(text: str) -> Iterator[Place]:
    yield from shell.places_in(text)
    yield from plain_lines.fields_in(text)


def _readable(text: str) -> str:
    """Return ``text``, as long as it was, without what YAML has no place for."""
    readable = covered(text)
    # JSON may be indented by tabs; inside of its texts there are none.
    return readable.replace("\t", " ") if readable.lstrip()[:1] in ("{", "[") else readable


def _edited(text: str, edits: list[_Edit]) -> str:
    parts, position = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*parts, text[position:]])


class _Lines:
    """The numbers of lines by their characters."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        position = -1
        while (position := text.find("\n", position + 1)) >= 0:
            self._starts.append(position + 1)

    def of(self, position: int) -> int:
        """Return the number of the line of a character, from 1."""
        return bisect.bisect_right(self._starts, position)
