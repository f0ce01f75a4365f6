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
    forwarded = [line.decode("latin-1") for line in request.requestHeaders.getRawHeaders(b"x-forwarded-for", [])]
    behind = bool(trusted) and (peer is None or is_in(peer, trusted))
    return Visit(
        host=_field(request, b"host") or "",
        authorization=_field(request, b"authorization"),
        client=client_of(peer, forwarded, trusted),
        secure=request.isSecure() or (behind and _field(request, b"x-forwarded-proto") == "https"),
    )


def _field(request: Request, name: bytes) -> str | None:
    """Return a field of the header, whatever bytes are in it: Twisted would take them for UTF-8, and raise."""
    value = request.getHeader(name)
    return None if value is None else value.decode("latin-1")
