"""What of a repository was seen last: manifests, and tags."""

from __future__ import annotations

from ..oci.digests import Digest
from .entries import View
from .index import Index
from .keys import view_key

__all__ = ["recent_manifests", "recent_tags"]

_MANIFESTS = """
    SELECT digest FROM link WHERE registry = ? AND repository = ? AND credential = ? AND media_type IS NOT NULL
    ORDER BY confirmed DESC LIMIT ?
"""

_TAGS = """
    SELECT name, digest FROM tag WHERE registry = ? AND repository = ? AND credential = ? AND instr(name, '/') = 0
    ORDER BY checked DESC LIMIT ?
"""


def recent_manifests(index: Index, view: View, limit: int) -> list[Digest]:
    """Return up to ``limit`` manifests that ``view`` may have, those first that were confirmed last."""
    whose = view_key(view)
    noted = [
        digest
        for notes in index.noted()
        for (digest, *key), link in reversed(notes.links.items())
        if tuple(key) == whose and link is not None and link.media_type is not None
    ]
    rows = index.read(_MANIFESTS, *whose, limit)
    return [Digest.parse(digest) for digest in dict.fromkeys([*noted, *(digest for (digest,) in rows)])][:limit]


def recent_tags(index: Index, view: View, limit: int) -> dict[str, Digest]:
    """Return up to ``limit`` tags of ``view``, those that were checked last, and where each points."""
    registry, repository, credential = view_key(view)
    noted = {
        name: entry.digest
        for notes in reversed(list(index.noted()))
        for (*key, name, whose), entry in notes.tags.items()
        if (key, whose) == ([registry, repository], credential) and entry is not None and "/" not in name
    }
    rows = index.read(_TAGS, registry, repository, credential, limit)
    return {**{name: Digest.parse(digest) for name, digest in rows}, **noted}
