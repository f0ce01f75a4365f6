"""``/tags`` on the admin socket: where tags have pointed, and by which digest they are answered."""

from __future__ import annotations

from twisted.web.server import Request

from ..web.branch import Branch
from .documents import answer_later, argument, at_once
from .tag_work import TagWork

__all__ = ["TagsResource"]


class TagsResource(Branch):
    """``GET /tags/history?image=``; ``GET``, ``POST`` and ``DELETE /tags/pins``; ``POST /tags/rollback?image=``.

    Arguments:
        work: does it.
    """

    def __init__(self, work: TagWork) -> None:
        super().__init__()
        self.putChild(b"history", _History(work))
        self.putChild(b"pins", _Pins(work))
        self.putChild(b"rollback", _Rollback(work))


class _Part(Branch):
    isLeaf = True

    def __init__(self, work: TagWork) -> None:
        super().__init__()
        self._work = work


class _History(_Part):
    def render_GET(self, request: Request) -> int:
        return answer_later(request, at_once(lambda: self._work.history(argument(request, "image"))))


class _Pins(_Part):
    """``GET /tags/pins``; ``POST /tags/pins?image=&digest=``; ``DELETE /tags/pins?image=``."""

    def render_GET(self, request: Request) -> int:
        return answer_later(request, at_once(self._work.pins))

    def render_POST(self, request: Request) -> int:
        return answer_later(request, self._work.pin(argument(request, "image"), argument(request, "digest")))

    def render_DELETE(self, request: Request) -> int:
        return answer_later(request, self._work.unpin(argument(request, "image")))


class _Rollback(_Part):
    def render_POST(self, request: Request) -> int:
        return answer_later(request, self._work.rollback(argument(request, "image")))
