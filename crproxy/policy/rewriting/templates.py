"""Go's templates inside of YAML, covered so that the rest can be read: every other character stays in its place."""

from __future__ import annotations

__all__ = ["covered"]

_OPEN, _CLOSE = "{{", "}}"


def covered(text: str) -> str:
    """Return ``text``, as long as it was, with letters in place of each template.

    A line that has nothing else is a comment then: what is decided there leaves no trace in YAML.
    """
    parts, position = [], 0
    while (start := text.find(_OPEN, position)) >= 0:
        end = text.find(_CLOSE, start + 2)
        if end < 0:
            break
        end += len(_CLOSE)
        parts += [text[position:start], _cover(text, start, end)]
        position = end
    return "".join([*parts, text[position:]])


def _cover(text: str, start: int, end: int) -> str:
    # The line is looked at no further than the longest indentation: each template has one.
    nearby = max(start - 200, 0)
    before = text[max(text.rfind("\n", nearby, start) + 1, nearby) : start]
    after = text[end : end + 200].partition("\n")[0]
    lines = text[start:end].split("\n")
    if not before.strip() and not after.strip():
        return "\n".join("#" + "x" * (len(line) - 1) if line else "" for line in lines)
    return "\n".join("x" * len(line) for line in lines)
