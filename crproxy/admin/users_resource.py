"""``/users`` on the admin socket: who may log in, and their file, read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from ..config import Clients
from ..web.branch import Branch
from .documents import answer_later, json_answer

__all__ = ["UsersResource"]


class UsersResource(Branch):
    """``GET /users``: the names, and the file that they are in; ``POST /users``: it is read again, and nothing else.

    Arguments:
        clients: returns who may log in now.
        reload: reads the file again and returns the names in it; fails with ConfigError.
    """

    isLeaf = True

    def __init__(self, clients: Callable[[], Clients], reload: Callable[[], Deferred[tuple[str, ...]]]) -> None:
        super().__init__()
        self._clients = clients
        self._reload = reload

    def render_GET(self, request: Request) -> bytes:
        """Answer with what counts now."""
        return json_answer(request, 200, self._described())

    def render_POST(self, request: Request) -> int:
        """Answer with what counts then."""
        return answer_later(request, self._reloaded())

    async def _reloaded(self) -> dict[str, Any]:
        await self._reload()
        return self._described()

    def _described(self) -> dict[str, Any]:
        clients = self._clients()
        # By the daemon's own working directory, which whoever asks does not know.
        file = None if clients.htpasswd is None else str(Path(clients.htpasswd).absolute())
        return {"file": file, "users": None if clients.users is None else sorted(clients.users)}
