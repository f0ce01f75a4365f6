"""``GET /metrics``: what was counted and read, as Prometheus wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from .. import __version__
from ..policy.request_ids import with_id
from ..web.branch import Branch
from ..web.request import id_of
from .gathering import Gathering

__all__ = ["Exposition"]


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What an encoder takes for a registry."""

    metrics: list[Metric]

    def collect(self) -> list[Metric]:
        return self.metrics


class Exposition(Branch):
    """Writes metrics down, in the reactor's thread: what is read belongs to that.

    prometheus_client.twisted runs a WSGI application in the threads of the global reactor.

    Arguments:
        gathering: has them.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, gathering: Gathering) -> None:
        super().__init__()
        self._gathering = gathering

    def render_GET(self, request: Request) -> int:
        """Answer in the format that is asked for (IResource)."""
        answered = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _: answered.cancel())
        answered.addErrback(self._broke, request)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        write, media_type = choose_encoder((request.getHeader(b"accept") or b"").decode("latin-1"))
        found = _Gathered(await self._gathering.all())
        request.setHeader("Server", f"crproxy/{__version__}")
        request.setHeader("Content-Type", media_type)
        body = write(cast(CollectorRegistry, found))
        request.setHeader("Content-Length", str(len(body)))
        request.write(body)
        request.finish()

    def _broke(self, failure: Failure, request: Any) -> None:
        if request._disconnected:
            failure.trap(CancelledError)
            return
        request_id = id_of(request)
        self._log.failure("the metrics cannot be told", failure, request_id=request_id)
        request.setResponseCode(500)
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        request.write(with_id("crproxy itself failed; its log says why", request_id).encode("ascii") + b"\n")
        request.finish()
