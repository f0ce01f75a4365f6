"""``/configuration`` on the admin socket: what the daemon runs with, beside what its file says now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.web.server import Request

from .. import __version__
from ..web.branch import Branch
from .documents import answer_later
from .loaded import Loaded

__all__ = ["ConfigurationResource"]


class ConfigurationResource(Branch):
    """``GET /configuration``: no value of it, but where and when it was read, and what is different there now.

    Arguments:
        loaded: reads the file again, changes nothing, and returns that.
    """

    isLeaf = True

    def __init__(self, loaded: Callable[[], Awaitable[Loaded]]) -> None:
        super().__init__()
        self._loaded = loaded

    def render_GET(self, request: Request) -> int:
        """Answer with that."""
        return answer_later(request, self._document())

    async def _document(self) -> dict[str, Any]:
        return {"version": __version__, **(await self._loaded()).document()}
