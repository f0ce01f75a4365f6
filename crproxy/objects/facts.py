"""What of the index's notes the other nodes are to know: what is stored, links, tags and refusals. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..oci.digests import Digest
from ..store.keys import entry_of
from ..store.notes import Notes
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

__all__ = ["drafts"]


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


def _small(key: str, content: bytes) -> Draft:
    return Draft(key, len(content), None, content)
