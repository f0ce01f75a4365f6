"""``/fleet`` on the admin socket: who else is there, and what nodes have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.web.server import Request

from ..web.branch import Branch
from .documents import Mistake, answer_later

__all__ = ["Describe", "FleetResource"]

# Returns a document of what there is; None where there is nothing of the kind.
Describe = Callable[[], Awaitable[dict[str, Any] | None]]


class FleetResource(Branch):
    """``GET /fleet``: the nodes, where they meet, and the object store.

    Arguments:
        fleet: describes the other nodes.
        storage: describes the object store.
    """

    isLeaf = True

    def __init__(self, fleet: Describe, storage: Describe) -> None:
        super().__init__()
        self._fleet = fleet
        self._storage = storage

    def render_GET(self, request: Request) -> int:
        """Answer with what there is."""
        return answer_later(request, self._describe())

    async def _describe(self) -> dict[str, Any]:
        fleet, storage = await self._fleet(), await self._storage()
        if fleet is None and storage is None:
            raise Mistake("this daemon has nothing in common with others: see [fleet] and [storage]", 409)
        return {"fleet": fleet, "storage": storage}
