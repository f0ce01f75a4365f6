"""All that the index's file says, once more as notes: for somebody who has heard of none of it.

Reads by a connection of its own, so that it can run in a thread, beside a daemon. Blocking; changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ..oci.digests import Digest
from .notes import Link, Notes, Stored, TagEntry
from .schema import open_read_only

__all__ = ["notes_in"]

# Rows of one batch.
_BATCH = 500

_Add = Callable[[Notes, tuple[Any, ...]], None]


def notes_in(path: Path) -> Iterator[Notes]:
    """Give all of it in batches: contents first, then links, then tags. Nothing where it cannot be read."""
    database = open_read_only(path)
    if database is None:
        return
    with closing(database):
        for statement, add in _KINDS:
            rows = database.execute(statement)
            while batch := rows.fetchmany(_BATCH):
                notes = Notes()
                for row in batch:
                    add(notes, row)
                yield notes


def _add_blob(notes: Notes, row: tuple[Any, ...]) -> None:
    digest, pool, size, used, checked = row
    notes.blobs[digest, pool] = Stored(size, used, checked)


def _add_link(notes: Notes, row: tuple[Any, ...]) -> None:
    digest, registry, repository, credential, media_type, size, confirmed = row
    notes.links[digest, registry, repository, credential] = Link(media_type, size, confirmed)


def _add_tag(notes: Notes, row: tuple[Any, ...]) -> None:
    registry, repository, name, credential, digest, checked = row
    notes.tags[registry, repository, name, credential] = TagEntry(Digest.parse(digest), checked)


_KINDS: tuple[tuple[str, _Add], ...] = (
    ("SELECT digest, pool, size, used, checked FROM blob", _add_blob),
    ("SELECT digest, registry, repository, credential, media_type, size, confirmed FROM link", _add_link),
    ("SELECT registry, repository, name, credential, digest, checked FROM tag", _add_tag),
)
