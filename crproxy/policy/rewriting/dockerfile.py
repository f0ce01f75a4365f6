"""Where images stand in a Dockerfile: FROM, what an ARG gives it, COPY --from, RUN --mount, ONBUILD, ``# syntax=``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .dockerfile_words import Word, instructions
from .places import Place, Reason, Role
from .variables import Variable, variables_of

__all__ = ["places_in"]

# "# directive=value", in front of everything else; the first line that is none ends them.
_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*([A-Za-z]+)[ \t]*=[ \t]*([^\s]*)[ \t\r]*")


def places_in(text: str) -> Iterator[Place]:
    """Give the places of images in ``text``, a Dockerfile."""
    escape = "\\"
    position = 0
    while found := _DIRECTIVE.match(text, position):
        if text[found.end() : found.end() + 1] not in ("\n", ""):
            break
        if found[1].lower() == "syntax" and found[2]:
            yield Place(*found.span(2))
        elif found[1].lower() == "escape" and found[2] == "`":
            escape = "`"
        position = found.end() + 1
        if position > len(text):
            break
    yield from _File(text).places(escape)


@dataclass(slots=True)
class _File:
    """What is known of a file up to the instruction that is read.

    Arguments:
        stages: names of those that were begun, in lower case.
        arguments: the defaults of global ARGs, by their names; None where one has none.
        is_global: no stage has begun.
    """

    text: str
    stages: set[str] = field(default_factory=set)
    arguments: dict[str, Place | None] = field(default_factory=dict)
    is_global: bool = True

    def places(self, escape: str) -> Iterator[Place]:
        for words in instructions(self.text, escape):
            yield from self._instruction(words)

    def _instruction(self, words: list[Word]) -> Iterator[Place]:
        name, rest = self._of(words[0]).upper(), words[1:]
        match name:
            case "ARG" if self.is_global:
                self._arg(rest)
            case "FROM":
                yield from self._from(rest)
            case "COPY" | "ADD" | "RUN":
                yield from self._flags(rest)
            case "ONBUILD" if rest and self._of(rest[0]).upper() not in ("FROM", "ONBUILD"):
                yield from self._instruction(rest)

    def _arg(self, words: list[Word]) -> None:
        for word in words:
            name, equals, value = self._of(word).partition("=")
            start, end = word.start + len(name) + 1, word.end
            if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1:
                start, end = start + 1, end - 1
            is_said = equals and start < end and not word.is_broken
            self.arguments[name] = Place(start, end) if is_said else None

    def _from(self, words: list[Word]) -> Iterator[Place]:
        self.is_global = False
        names = [word for word in words if not self._of(word).startswith("--")]
        if not names:
            return
        yield from self._image(_unquoted(self.text, names[0]), by_argument=True)
        if len(names) == 3 and self._of(names[1]).lower() == "as":
            self.stages.add(self._of(names[2]).lower())

    def _flags(self, words: list[Word]) -> Iterator[Place]:
        for word in words:
            text = self._of(word)
            if not text.startswith("--"):
                return
            flag, _, value = text.partition("=")
            start = word.start + len(flag) + 1
            if flag == "--from" and value and not value.isdecimal():
                yield from self._image(Word(start, word.end, word.is_broken))
            elif flag == "--mount":
                for part in value.split(","):
                    key, equals, image = part.partition("=")
                    if key == "from" and equals and image:
                        at = start + len(key) + 1
                        yield from self._image(Word(at, at + len(image), word.is_broken))
                    start += len(part) + 1

    def _image(self, word: Word, *, by_argument: bool = False) -> Iterator[Place]:
        name = self._of(word)
        if word.is_broken:
            yield Place(word.start, word.end, reason=Reason.WRITTEN_OTHERWISE)
        elif name.lower() in self.stages:
            yield Place(word.start, word.end, reason=Reason.STAGE)
        elif by_argument and (given := self._given(name)) is not None:
            yield given
        else:
            yield Place(word.start, word.end)

    def _given(self, name: str) -> Place | None:
        """Return the place of the ARG that says what a name is, or which registry it is of; None where none does."""
        variable = next(variables_of(name), None)
        if variable is None or variable.start != 0 or variable.name is None or variable.default is not None:
            return None
        default = self.arguments.get(variable.name)
        rest = name[variable.end :]
        if default is None or not (rest[:1] in ("", "/") or _is_suffix(rest, variable)):
            return None
        if rest[:1] == "/":
            value = self.text[default.start : default.end]
            return Place(default.start, default.end, Role.REGISTRY) if _is_registry(value) else None
        return default

    def _of(self, word: Word) -> str:
        return self.text[word.start : word.end]


def _unquoted(text: str, word: Word) -> Word:
    raw = text[word.start : word.end]
    if len(raw) > 2 and raw[0] in "'\"" and raw[-1] == raw[0]:
        return Word(word.start + 1, word.end - 1, word.is_broken)
    return word


def _is_suffix(rest: str, variable: Variable) -> bool:
    """Tell whether what stands behind a variable is a tag or a digest."""
    return rest[0] in ":@" and "/" not in rest


def _is_registry(value: str) -> bool:
    head = value.partition("/")[0]
    return "." in head or ":" in head or head == "localhost"
