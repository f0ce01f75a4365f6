"""What of the index's notes the other nodes are to know: what is stored, links, tags and refusals. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..oci.digests import Digest
from ..store.entries import Entry
from ..store.keys import entry_of
from ..store.notes import Notes, Stored
from .naming import (
    blob_key,
    link_content,
    link_key,
    revoked_content,
    revoked_key,
    tag_content,
    tag_key,
    view_of_note,
)
from .outbox import Draft

__all__ = ["again", "drafts", "used_in"]


def drafts(notes: Notes) -> Iterator[Draft]:
    """Give what is to be done to the object store after ``notes``, refusals first.

    Content that was dropped here stays there: that is another janitor's. What was found on disk and nobody has read is
    not for others.
    """
    for view, moment in notes.revoked.items():
        yield _small(revoked_key(view_of_note(view)), revoked_content(moment))
    for stored, kept in notes.blobs.items():
        if kept is not None and not kept.is_unread:
            entry = entry_of(*stored)
            yield Draft(blob_key(entry), kept.size, entry)
    for (digest, *whose), link in notes.links.items():
        key = link_key(view_of_note((whose[0], whose[1], whose[2])), Digest.parse(digest))
        yield Draft(key) if link is None else _small(key, link_content(link))
    for (registry, repository, name, credential), tag in notes.tags.items():
        key = tag_key(view_of_note((registry, repository, credential)), name)
        yield Draft(key) if tag is None else _small(key, tag_content(tag))


def used_in(notes: Notes) -> tuple[list[Entry], list[Entry]]:
    """Return what was stored, and what was asked for that was there before."""
    stored = [key for key, kept in notes.blobs.items() if kept is not None and not kept.is_unread]
    hits = notes.used.keys() - stored
    return [entry_of(*key) for key in stored], [entry_of(*key) for key in hits]


def again(entries: Iterable[Entry], kept: Callable[[Entry], Stored | None]) -> list[Draft]:
    """Return what is to be done so that content is in the object store that may have gone from there.

    Arguments:
        kept: says what is on disk.
    """
    found = ((entry, kept(entry)) for entry in entries)
    return [Draft(blob_key(entry), one.size, entry) for entry, one in found if one is not None and not one.is_unread]


def _small(key: str, content: bytes) -> Draft:
    return Draft(key, len(content), None, content)
