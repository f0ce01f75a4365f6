"""What the page shows of tags: those that moved lately, and pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..tag_work import MovedTag, TagWork

__all__ = ["Tags", "look_at_tags"]

# Changes that are shown.
_MOST = 20


@dataclass(frozen=True, slots=True)
class Tags:
    """Tags as they are shown.

    Arguments:
        moved: the latest first.
        pins: as JSON has them, by their names.
    """

    moved: Sequence[MovedTag] = ()
    pins: Sequence[Mapping[str, Any]] = ()


def look_at_tags(work: TagWork) -> Tags:
    """Return what there is to see of tags."""
    return Tags(work.recent(_MOST), work.pins())
