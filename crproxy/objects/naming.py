"""The cache's own names (entries, views, notes) as keys and contents of objects, and back."""

from __future__ import annotations

from ..oci.digests import Digest
from ..oci.names import Registry, Repository
from ..policy.object_keys import (
    BlobKey,
    LinkContent,
    LinkKey,
    RevokedContent,
    RevokedKey,
    TagContent,
    TagKey,
    ViewNames,
)
from ..store.entries import Entry, View
from ..store.keys import view_key
from ..store.notes import Link, TagEntry, ViewKey

__all__ = [
    "blob_key",
    "entry_of",
    "link_content",
    "link_key",
    "link_of",
    "revoked_content",
    "revoked_key",
    "tag_content",
    "tag_key",
    "tag_of",
    "view_names",
    "view_of_note",
]


def blob_key(entry: Entry) -> str:
    """Return what the object of some content is called."""
    return str(BlobKey(entry.digest, entry.pool))


def entry_of(key: BlobKey) -> Entry:
    """Return the content that an object has."""
    return Entry(key.digest, key.pool)


def view_names(view: View) -> ViewNames:
    """Return a view as keys have it."""
    return view_of_note(view_key(view))


def view_of_note(view: ViewKey) -> ViewNames:
    """Return the view of a note as keys have it."""
    registry, path, credential = view
    return ViewNames(Repository(Registry(registry), path), credential)


def link_key(view: ViewNames, digest: Digest) -> str:
    """Return what the object of a link is called."""
    return str(LinkKey(view, digest))


def tag_key(view: ViewNames, name: str) -> str:
    """Return what the object of a tag is called."""
    return str(TagKey(view, name))


def revoked_key(view: ViewNames) -> str:
    """Return what the object of a refusal is called."""
    return str(RevokedKey(view))


def link_content(link: Link) -> bytes:
    """Return what is in the object of a link."""
    # What an earlier version noted may be any text.
    media_type = link.media_type if link.media_type is None or link.media_type.isprintable() else None
    return bytes(LinkContent(media_type, link.size, link.confirmed))


def link_of(content: LinkContent) -> Link:
    """Return the link that an object says."""
    return Link(content.media_type, content.size, content.confirmed)


def tag_content(tag: TagEntry) -> bytes:
    """Return what is in the object of a tag."""
    return bytes(TagContent(tag.digest, tag.checked))


def tag_of(content: TagContent) -> TagEntry:
    """Return the tag that an object says."""
    return TagEntry(content.digest, content.checked)


def revoked_content(at: float) -> bytes:
    """Return what is in the object of a refusal at this time, in seconds since the epoch."""
    return bytes(RevokedContent(at))
