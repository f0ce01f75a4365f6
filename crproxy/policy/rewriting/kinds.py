"""In which language a file is written, by its name and by how it begins."""

from __future__ import annotations

import enum
import re

from .shell import begins_with_a_tool

__all__ = ["Kind", "kind_of"]


class Kind(enum.Enum):
    """A language in which files name images."""

    DOCKERFILE = enum.auto()
    SHELL = enum.auto()
    YAML = enum.auto()
    """JSON, too, which is a part of it."""
    UNKNOWN = enum.auto()
    """Perhaps YAML: that is seen when it is read."""


_DOCKERFILE = re.compile(r"(?:[^/]*\.)?(?:dockerfile|containerfile)(?:\.[^/]*)?", re.IGNORECASE)
_YAML = (".yaml", ".yml", ".json", ".tpl")
_SHELL = (".sh", ".bash", ".zsh")
_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*(?:syntax|escape)[ \t]*=", re.IGNORECASE)
_INSTRUCTION = re.compile(r"[ \t]*(?:FROM|ARG)[ \t]+[^\s:=]+(?:[=:@].*)?(?:[ \t]+.*)?$", re.IGNORECASE)


def kind_of(text: str, name: str = "") -> Kind:
    """Return the language of ``text``.

    Arguments:
        name: of the file, without its directory; empty where it has none.
    """
    if _DOCKERFILE.fullmatch(name):
        return Kind.DOCKERFILE
    if name.lower().endswith(_YAML):
        return Kind.YAML
    if name.lower().endswith(_SHELL) or text.startswith("#!"):
        return Kind.SHELL
    if _DIRECTIVE.match(text) or _INSTRUCTION.match(_first_line(text)):
        return Kind.DOCKERFILE
    return Kind.SHELL if begins_with_a_tool(text) else Kind.UNKNOWN


def _first_line(text: str) -> str:
    """Return the first line that says something."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end].strip()
        if line and not line.startswith("#"):
            return line
        start = end + 1
    return ""
