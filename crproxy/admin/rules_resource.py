"""``/rules`` on the admin socket: which there are, and what comes of them for one request."""

from __future__ import annotations

from twisted.web.server import Request

from ..web.branch import Branch
from .documents import answer_later, argument, at_once, json_answer
from .rules_work import RulesWork

__all__ = ["RulesResource"]


class RulesResource(Branch):
    """``GET /rules``; below it ``GET /rules/test?image=&client=&user=``.

    Arguments:
        work: knows them.
    """

    def __init__(self, work: RulesWork) -> None:
        super().__init__()
        self._work = work
        self.putChild(b"test", _Test(work))

    def render_GET(self, request: Request) -> bytes:
        """Answer with all."""
        return json_answer(request, 200, self._work.all())


class _Test(Branch):
    isLeaf = True

    def __init__(self, work: RulesWork) -> None:
        super().__init__()
        self._work = work

    def render_GET(self, request: Request) -> int:
        words = (argument(request, name) for name in ("image", "client", "user"))
        return answer_later(request, at_once(lambda: self._work.test(*words)))
