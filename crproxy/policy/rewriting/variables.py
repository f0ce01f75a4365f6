"""Variables and templates inside of a name: ``${TAG:-1.27}``, ``$TAG``, ``$(params.tag)``, ``{{ .Values.tag }}``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["LONGEST", "Variable", "variables_of"]

LONGEST = 1000
"""Characters of a name, with a default in each of its variables: nothing longer is one."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Variable:
    """One of them.

    Arguments:
        start, end: of its characters.
        name: where it has one: of a template nothing is known.
        default: start and end of what counts where it is not set, if that is said.
    """

    start: int
    end: int
    name: str | None = None
    default: tuple[int, int] | None = None


def variables_of(text: str) -> Iterator[Variable]:
    """Give the variables and templates in ``text``, from its beginning. What does not end is none, and so is what
    stands in a longer text than any name is.
    """
    if len(text) > LONGEST or not ("$" in text or "{{" in text):
        return
    ends = _ends_of_braces(text)
    position = 0
    while (position := _next(text, position)) >= 0:
        variable = _at(text, position, ends)
        if variable is None:
            position += 1
            continue
        yield variable
        position = variable.end


def _next(text: str, position: int) -> int:
    found = [at for at in (text.find("$", position), text.find("{{", position)) if at >= 0]
    return min(found, default=-1)


def _at(text: str, start: int, ends: dict[int, int]) -> Variable | None:
    for opened, closed in (("${{", "}}"), ("{{", "}}")):
        if text.startswith(opened, start):
            end = text.find(closed, start)
            return None if end < 0 else Variable(start, end + 2)
    if text.startswith("${", start):
        return _braced(text, start, ends.get(start + 1, -1))
    if text.startswith("$(", start):
        end = text.find(")", start)
        return None if end < 0 else Variable(start, end + 1)
    name = _NAME.match(text, start + 1)
    return None if name is None else Variable(start, name.end(), name[0])


def _braced(text: str, start: int, end: int) -> Variable | None:
    name = _NAME.match(text, start + 2)
    if end < 0 or name is None:
        return None
    behind = name.end()
    for sign in (":-", "-"):
        if text.startswith(sign, behind):
            return Variable(start, end + 1, name[0], (behind + len(sign), end))
    return Variable(start, end + 1, name[0])


def _ends_of_braces(text: str) -> dict[int, int]:
    """Return where each opened brace is closed; one that never is has no entry."""
    opened: list[int] = []
    ends = {}
    for position, character in enumerate(text):
        if character == "{":
            opened.append(position)
        elif character == "}" and opened:
            ends[opened.pop()] = position
    return ends
