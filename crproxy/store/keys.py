"""What rows of the index, and notes on their way there, are about, as its columns have it."""

from __future__ import annotations

from ..oci.digests import Digest
from ..oci.names import Registry, Repository
from .entries import Entry, View
from .notes import BlobKey, TagKey, ViewKey

__all__ = ["blob_key", "entry_of", "tag_key", "view_key", "view_of"]

# Whose a link is that clients brought with credentials of their own: no permission of the proxy's.
_CLIENTS = "*"


def blob_key(entry: Entry) -> BlobKey:
    """Return digest and pool of a row about ``entry``."""
    return str(entry.digest), "" if entry.pool is None else entry.pool.name


def entry_of(digest: str, pool: str) -> Entry:
    """Return the entry that a row is about."""
    return Entry(Digest.parse(digest), Registry.parse(pool) if pool else None)


def view_key(view: View) -> ViewKey:
    """Return registry, repository and credential of a row about ``view``."""
    credential = view.credential if view.caller is None else _CLIENTS
    return view.repository.registry.name, view.repository.path, credential


def tag_key(view: View, name: str) -> TagKey:
    """Return registry, repository, name and credential of a row about a tag."""
    registry, repository, credential = view_key(view)
    return registry, repository, name, credential


def view_of(repository: Repository, credential: str) -> View:
    """Return the view that rows with this credential are of. Whose of several clients' it is, nobody can tell."""
    return View(repository, caller="") if credential == _CLIENTS else View(repository, credential)
