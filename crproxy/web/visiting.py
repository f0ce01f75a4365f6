"""A request, as the login sees it: who makes it, behind proxies that are trusted."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.web.server import Request

from ..limits.accepting import host_of
from ..login import Visit
from ..policy.clients import Network, client_of, is_in

__all__ = ["visit_of"]


def visit_of(request: Request, trusted: Sequence[Network]) -> Visit:
    """Return what ``request`` says of who makes it.

    Arguments:
        trusted: the networks of proxies whose X-Forwarded-For and X-Forwarded-Proto count.
    """
    peer = host_of(request.getClientAddress())
    forwarded = request.requestHeaders.getRawHeaders("x-forwarded-for", [])
    behind = bool(trusted) and (peer is None or is_in(peer, trusted))
    return Visit(
        host=request.getHeader("host") or "",
        authorization=request.getHeader("authorization"),
        client=client_of(peer, forwarded, trusted),
        secure=request.isSecure() or (behind and request.getHeader("x-forwarded-proto") == "https"),
    )
