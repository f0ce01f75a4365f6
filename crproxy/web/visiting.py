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
        host=_field(request, b"host") or "",
        authorization=_field(request, b"authorization"),
        client=address.host if isinstance(address, IPv4Address | IPv6Address) else None,
        secure=request.isSecure(),
    )


def _field(request: Request, name: bytes) -> str | None:
    """Return a field of the header, whatever bytes are in it: Twisted would take them for UTF-8, and raise."""
    value = request.getHeader(name)
    return None if value is None else value.decode("latin-1")
