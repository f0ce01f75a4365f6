"""The site: what is where below a host's root."""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import IReactorTime
from twisted.web.pages import errorPage, notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from .. import __version__
from ..login import TOKEN_PATH
from .channel import Channel
from .connections import Connections
from .registry import RegistryResource
from .token import TokenResource

__all__ = ["PlainSite", "make_site"]

_WELCOME = """crproxy {version}: a registry proxy.

Pull an image by putting this host in front of its name:

    docker pull {host}/quay.io/ORG/NAME:TAG
"""


def make_site(registry: RegistryResource, tokens: TokenResource, reactor: IReactorTime) -> PlainSite:
    """Return the site that serves ``registry`` below /v2, and ``tokens`` beside it; ``reactor`` times connections."""
    root = _Root()
    root.putChild(b"v2", registry)
    root.putChild(TOKEN_PATH.removeprefix("/").encode(), tokens)
    site = PlainSite(root, reactor=reactor)
    site.displayTracebacks = False
    return site


class PlainSite(Site):
    """HTTP/1.1 alone, whatever is installed: HTTP/2 was measured at twice the CPU per byte."""

    protocol = Channel  # type: ignore[assignment]  # Twisted's own is a wrapper that chooses between the two

    def __init__(self, resource: IResource, reactor: IReactorTime) -> None:
        super().__init__(resource, reactor=reactor)
        self.connections = Connections(reactor)

    def acceptableProtocols(self) -> list[bytes]:
        """Return what may be negotiated by ALPN (IProtocolNegotiationFactory): Twisted adds h2 where it can."""
        return [b"http/1.1"]


class _Root(Resource):
    """What people see who open the host in a browser."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return self if path == b"" else notFound()

    def render(self, request: Request) -> bytes | int:
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            return cast(int, errorPage(405, "Method Not Allowed", "This page can only be read.").render(request))
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        request.setHeader("X-Content-Type-Options", "nosniff")
        host = (request.getHeader("host") or "HOST").encode("ascii", "replace").decode()
        return _WELCOME.format(version=__version__, host=host).encode()
