"""``GET /metrics``: what was counted and read, as Prometheus wants it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from twisted.web.server import Request

from .. import __version__
from ..web.branch import Branch

__all__ = ["Exposition"]


class Exposition(Branch):
    """Writes a registry down, in the reactor's thread: what is read belongs to that.

    prometheus_client.twisted runs a WSGI application in the threads of the global reactor.

    Arguments:
        registry: what there is.
    """

    isLeaf = True

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._registry = registry

    def render_GET(self, request: Request) -> bytes:
        """Answer in the format that is asked for (IResource)."""
        write, media_type = choose_encoder((request.getHeader(b"accept") or b"").decode("latin-1"))
        request.setHeader("Server", f"crproxy/{__version__}")
        request.setHeader("Content-Type", media_type)
        return write(self._registry)
