"""Where in a file the text of a scalar stands, and so where a part of it does."""

from __future__ import annotations

from .places import Place, Reason, Role
from .yaml_tree import Scalar

__all__ = ["block_of", "place_of", "value_at"]


def value_at(text: str, scalar: Scalar) -> int | None:
    """Return where in ``text`` the value of ``scalar`` begins, one that has a single line; None where it is written
    in another way than it reads: with escapes, or over several lines.
    """
    raw, value = text[scalar.start : scalar.end], scalar.value
    if scalar.style in ("|", ">"):
        value = value.strip()
        # Behind its header, in which an anchor may say the same.
        header = min((at for at in (raw.find("\n"), raw.find("\r")) if at >= 0), default=len(raw))
        at = raw.find(value, header) if value else -1
        return None if at < 0 or len(value.splitlines()) != 1 else scalar.start + at
    # An anchor and a tag stand in front; only a quote may be behind.
    behind = len(raw) - len(scalar.style or "")
    return scalar.start + behind - len(value) if raw[:behind].endswith(value) and value else None


def place_of(text: str, scalar: Scalar, role: Role = Role.NAME, *, is_sure: bool = True, skip: int = 0) -> Place:
    """Return the place that a scalar's value is.

    Arguments:
        skip: characters at its beginning that are no part of the name.
    """
    start = value_at(text, scalar)
    if start is None:
        return Place(scalar.start, scalar.end, role, is_sure, Reason.WRITTEN_OTHERWISE)
    return Place(start + skip, start + len(scalar.value.strip()), role, is_sure)


def block_of(text: str, scalar: Scalar) -> tuple[int, int] | None:
    """Return start and end of the lines in a scalar, where they are written as they read but for their indentation;
    None where they are not.
    """
    if scalar.style == "|":
        return scalar.start + len(text[scalar.start : scalar.end].partition("\n")[0]), scalar.end
    if scalar.style == ">":
        return None
    start = value_at(text, scalar)
    return None if start is None else (start, start + len(scalar.value))
