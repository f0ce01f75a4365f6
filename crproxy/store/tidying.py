"""Rows of the index that nothing needs: what they are, and that they go.

Blocking: called in the thread that writes the index.
"""

from __future__ import annotations

import sqlite3

from .entries import Entry
from .keys import entry_of
from .schema import POOL

__all__ = ["forget_empty", "orphans"]


def orphans(database: sqlite3.Connection, before: float, limit: int) -> list[tuple[Entry, int]]:
    """Return entry and size of up to ``limit`` contents, not used since ``before``, that no repository may have.

    Raises:
        sqlite3.Error: the index cannot be read.
    """
    rows = database.execute(
        f"""
        SELECT digest, pool, size FROM blob WHERE used < ? AND NOT EXISTS (
            SELECT 1 FROM link WHERE link.digest = blob.digest AND {POOL} = blob.pool)
        ORDER BY used LIMIT ?
        """,  # noqa: S608 - nothing from outside
        (before, limit),
    )
    return [(entry_of(digest, pool), size) for digest, pool, size in rows]


def forget_empty(database: sqlite3.Connection, before: float, limit: int) -> int:
    """Forget up to ``limit`` links and as many tags, made before ``before``, that lead to nothing stored.

    Returns how many there were.

    Raises:
        sqlite3.Error: the index cannot be written.
    """
    links = database.execute(
        """
        DELETE FROM link WHERE (digest, registry, repository, credential) IN (
            SELECT digest, registry, repository, credential FROM link
            WHERE confirmed < ? AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.digest = link.digest)
            ORDER BY confirmed LIMIT ?)
        """,
        (before, limit),
    )
    tags = database.execute(
        """
        DELETE FROM tag WHERE (registry, repository, name, credential) IN (
            SELECT registry, repository, name, credential FROM tag
            WHERE checked < ? AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.digest = tag.digest)
            ORDER BY checked LIMIT ?)
        """,
        (before, limit),
    )
    return links.rowcount + tags.rowcount
