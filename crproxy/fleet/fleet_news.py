"""What one node has found out of a tag or a manifest, for the others (pullthrough.manifests.News)."""

from __future__ import annotations

from ..oci.names import Reference
from ..pullthrough.recall import Recall
from ..store.entries import View
from ..store.notes import TagEntry
from .tags import Tags

__all__ = ["FleetNews"]


class FleetNews:
    """Tells and hears (News).

    Arguments:
        tags: where it is told.
        recall: takes up what was.
    """

    def __init__(self, tags: Tags, recall: Recall) -> None:
        self._tags = tags
        self._recall = recall

    def tell(self, view: View, reference: Reference, entry: TagEntry, media_type: str | None) -> None:
        """Tell the others (News)."""
        self._tags.note(view, reference, entry, media_type)

    async def hear(self, view: View, reference: Reference) -> None:
        """Have here what another node has just found out (News)."""
        await self._recall.at_once(view, reference)
