"""What of one image, or of a whole repository, is in the cache. What is done with it is not known here."""

from __future__ import annotations

from collections.abc import Iterable

from ..oci.digests import Digest
from ..oci.names import Reference
from .entries import Entry
from .inventory import RepositoryContents

__all__ = ["contents_of"]


def contents_of(views: Iterable[RepositoryContents], reference: Reference | None) -> list[tuple[Entry, int]] | None:
    """Return each content that is here, once, and its bytes; None where nothing is known of the image.

    Arguments:
        views: what the repository has, by each credential.
        reference: of the image: its tag, or the digest of it or of a part of it; None is all that the repository has.
    """
    found: dict[Entry, int] = {}
    is_known = False
    for contents in views:
        roots = _roots(contents, reference)
        is_known = is_known or bool(roots)
        for digest in contents.reach(roots):
            if digest in contents.kept:
                found[contents.view.entry(digest)] = contents.kept[digest].size
    return list(found.items()) if is_known else None


def _roots(contents: RepositoryContents, reference: Reference | None) -> list[Digest]:
    if reference is None:
        return [*contents.tags.values(), *contents.links]
    digest = reference if isinstance(reference, Digest) else contents.tags.get(reference.name)
    is_known = digest is not None and (digest in contents.links or digest in contents.tags.values())
    return [digest] if digest is not None and is_known else []
