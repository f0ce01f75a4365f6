"""The site: what is where below a host's root."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource, Resource

from ..config import Timeouts
from ..login import TOKEN_PATH
from .channel import Channel
from .connections import Connections
from .prepared import PreparedAnswers
from .registry import RegistryResource
from .request import Observe, ObservedRequest, ObservedSite
from .token import TokenResource

__all__ = ["PlainSite", "make_site"]

_WRITE_SECONDS = Timeouts().write


def make_site(
    page: Resource,
    registry: RegistryResource,
    tokens: TokenResource,
    reactor: IReactorTime,
    write: float = _WRITE_SECONDS,
    observe: Observe | None = None,
) -> PlainSite:
    """Return the site that serves ``registry`` below /v2, ``tokens`` beside it, and to people ``page``.

    Arguments:
        reactor: times its connections.
        write: seconds after which a client that takes nothing of an answer is cut off.
        observe: is told of each request that is over.
    """
    page.putChild(b"v2", registry)
    page.putChild(TOKEN_PATH.removeprefix("/").encode(), tokens)
    return PlainSite.make(page, "registry", reactor, observe, write)


class PlainSite(ObservedSite):
    """HTTP/1.1 alone, whatever is installed: HTTP/2 was measured at twice the CPU per byte."""

    protocol = Channel  # type: ignore[assignment]  # Twisted's own is a wrapper that chooses between the two
    write_seconds = _WRITE_SECONDS
    requestFactory = ObservedRequest
    prepared: PreparedAnswers | None = None
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

    def __init__(self, resource: IResource, reactor: IReactorTime) -> None:
        super().__init__(resource, reactor=reactor)
        self.connections = Connections(reactor)

    def acceptableProtocols(self) -> list[bytes]:
        """Return what may be negotiated by ALPN (IProtocolNegotiationFactory): Twisted adds h2 where it can."""
        return [b"http/1.1"]
