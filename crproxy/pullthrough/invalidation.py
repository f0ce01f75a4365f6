"""Tags that are asked for again before their time is over, because what they lead to is gone."""

from __future__ import annotations

from collections.abc import Callable

from ..oci.digests import Digest
from ..policy.freshness import Lifetimes
from ..store.entries import View
from ..store.index import Index
from .references import KeptReferences

__all__ = ["Invalidation"]


class Invalidation:
    """Invalidates tags.

    Arguments:
        index: has where they point, and since when.
        references: by which tags something is found.
        lifetimes: how long a tag counts.
        now: seconds since the epoch.
    """

    def __init__(
        self, index: Index, references: KeptReferences, lifetimes: Lifetimes, now: Callable[[], float]
    ) -> None:
        self._index = index
        self._references = references
        self._lifetimes = lifetimes
        self._now = now

    def gone(self, view: View, digest: Digest) -> None:
        """Upstream has not what a manifest refers to: the tags that lead to it may have moved.

        They are asked for again then, and can be served stale as before.
        """
        expired = self._now() - self._lifetimes.tag_ttl
        for name in self._references.tags(view, digest):
            known = self._index.tagged(view, name)
            if known is not None and known.checked > expired:
                self._index.tag(view, name, known.digest, checked=expired)
