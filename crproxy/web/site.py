"""The site: what is where below a host's root."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Site

from ..login import TOKEN_PATH
from .channel import Channel
from .page import PageResource
from .registry import RegistryResource
from .token import TokenResource

__all__ = ["PlainSite", "make_site"]


def make_site(page: PageResource, registry: RegistryResource, tokens: TokenResource, reactor: IReactorTime) -> Site:
    """Return the site that serves ``registry`` below /v2, ``tokens`` beside it, and to people ``page``.

    Arguments:
        reactor: times connections.
    """
    page.putChild(b"v2", registry)
    page.putChild(TOKEN_PATH.removeprefix("/").encode(), tokens)
    site = PlainSite(page, reactor=reactor)
    site.displayTracebacks = False
    return site


class PlainSite(Site):
    """HTTP/1.1 alone, whatever is installed: HTTP/2 was measured at twice the CPU per byte."""

    protocol = Channel  # type: ignore[assignment]  # Twisted's own is a wrapper that chooses between the two

    def acceptableProtocols(self) -> list[bytes]:
        """Return what may be negotiated by ALPN (IProtocolNegotiationFactory): Twisted adds h2 where it can."""
        return [b"http/1.1"]
