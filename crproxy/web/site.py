"""The site: what is where below a host's root."""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import IReactorTime
from twisted.web.pages import errorPage, notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from .. import __version__
from ..config import Timeouts
from ..login import TOKEN_PATH
from .channel import Channel
from .registry import RegistryResource
from .request import Observe, ObservedRequest, ObservedSite, host_of
from .token import TokenResource

__all__ = ["PlainSite", "make_site"]

_WRITE_SECONDS = Timeouts().write

_WELCOME = """crproxy {version}: a registry proxy.

Pull an image by putting this host in front of its name:

    docker pull {host}/quay.io/ORG/NAME:TAG
"""


def make_site(
    registry: RegistryResource,
    tokens: TokenResource,
    reactor: IReactorTime,
    write: float = _WRITE_SECONDS,
    observe: Observe | None = None,
) -> Site:
    """Return the site that serves ``registry`` below /v2, and ``tokens`` beside it.

    Arguments:
        reactor: times its connections.
        write: seconds after which a client that takes nothing of an answer is cut off.
        observe: is told of each request that is over.
    """
    root = _Root()
    root.putChild(b"v2", registry)
    root.putChild(TOKEN_PATH.removeprefix("/").encode(), tokens)
    return PlainSite.make(root, "registry", reactor, observe, write)


class PlainSite(ObservedSite):
    """HTTP/1.1 alone, whatever is installed: HTTP/2 was measured at twice the CPU per byte."""

    protocol = Channel  # type: ignore[assignment]  # Twisted's own is a wrapper that chooses between the two
    write_seconds = _WRITE_SECONDS
    requestFactory = ObservedRequest
    displayTracebacks = False

    @classmethod
    def make(
        cls,
        root: IResource,
        called: str,
        reactor: IReactorTime,
        observe: Observe | None,
        write: float = _WRITE_SECONDS,
    ) -> PlainSite:
        """Return the site of what is below ``root``.

        Arguments:
            called: its name, where its requests are told of.
            reactor: times its connections.
            observe: is told of each request that is over.
            write: seconds after which a client that takes nothing of an answer is cut off.
        """
        site = cls(root, reactor=reactor)
        site.called, site.observe, site.write_seconds = called, observe, write
        return site

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
        host = (host_of(request) or "HOST").encode("ascii", "replace").decode()
        return _WELCOME.format(version=__version__, host=host).encode()
