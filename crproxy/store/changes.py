"""Changes of tags, as rows of the index have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..oci.digests import Digest
from ..policy.minimum_age import TagChange
from .notes import TagKey

__all__ = ["digest_of", "read_changes"]


def read_changes(read: Callable[..., list[Any]], tag: TagKey) -> list[TagChange]:
    """Return the history of a tag as it is in the file, the oldest first.

    Arguments:
        read: returns the rows of a statement, of which it is given the values, too.
    """
    rows = read(
        "SELECT digest, seen, last, asked_by FROM tag_change WHERE registry = ? AND repository = ? AND name = ? "
        "AND credential = ? ORDER BY number",
        *tag,
    )
    return [TagChange(digest_of(digest), seen, last, asked_by) for digest, seen, last, asked_by in rows]


def digest_of(text: str) -> Digest | None:
    """Return where a tag points by a row; None where it was gone."""
    return Digest.parse(text) if text else None
