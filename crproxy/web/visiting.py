"""A request, as the login sees it."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.web.server import Request

from ..login import Visit

__all__ = ["visit_of"]


def visit_of(request: Request) -> Visit:
    """Return what ``request`` says of who makes it."""
    address = request.getClientAddress()
    return Visit(
        host=request.getHeader("host") or "",
        authorization=request.getHeader("authorization"),
        client=address.host if isinstance(address, IPv4Address | IPv6Address) else None,
        secure=request.isSecure(),
    )
