"""What has to go so that the cache stays under its size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["to_drop"]

Content = TypeVar("Content")


def to_drop(stored: int, budget: int, oldest: Iterable[tuple[Content, int]]) -> list[Content]:
    """Return what to drop, the least recently used first, until ``budget`` or less is stored.

    Arguments:
        stored: bytes that are stored now.
        budget: bytes that may be.
        oldest: contents and their sizes in bytes, the least recently used first.
    """
    dropped = []
    for content, size in oldest:
        if stored <= budget:
            break
        dropped.append(content)
        stored -= size
    return dropped
