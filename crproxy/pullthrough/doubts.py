"""Tags that are asked for again before their time is over, because what they lead to is gone."""

from __future__ import annotations

from collections.abc import Callable

from ..oci.digests import Digest
from ..policy.freshness import Lifetimes
from ..store.entries import View
from ..store.index import Index
from ..upstream.references import References

__all__ = ["Doubts"]


class Doubts:
    """Doubts tags.

    Arguments:
        index: has where they point, and since when.
        references: by which tag something was found.
        lifetimes: how long a tag counts.
        now: seconds since the epoch.
    """

    def __init__(self, index: Index, references: References, lifetimes: Lifetimes, now: Callable[[], float]) -> None:
        self._index = index
        self._references = references
        self._lifetimes = lifetimes
        self._now = now

    def gone(self, view: View, digest: Digest) -> None:
        """Upstream has not what a manifest refers to: the tag that led to it may have moved.

        It is asked for again then, and can be served stale as before.
        """
        name = self._references.tag(view.repository, digest)
        known = None if name is None else self._index.tagged(view, name)
        if name is not None and known is not None:
            expired = self._now() - self._lifetimes.tag_ttl
            self._index.tag(view, name, known.digest, checked=min(known.checked, expired))
