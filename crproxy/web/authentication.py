"""A request, as the login sees it: who makes it, behind proxies that are trusted."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.web.server import Request

from ..limits.accepting import address_of
from ..login import AuthRequest
from ..policy.clients import Network, client_of, is_trusted
from .request import field_of, host_of, note_client

__all__ = ["auth_request"]


def auth_request(request: Request, trusted: Sequence[Network]) -> AuthRequest:
    """Return what ``request`` says of who makes it, and note the client for its line in the audit log.

    Arguments:
        trusted: the networks of proxies whose X-Forwarded-For and X-Forwarded-Proto count.
    """
    peer = address_of(request.getClientAddress())
    forwarded = [line.decode("latin-1") for line in request.requestHeaders.getRawHeaders(b"x-forwarded-for", [])]
    behind = is_trusted(peer, trusted)
    client = client_of(peer, forwarded, trusted)
    note_client(request, client)
    return AuthRequest(
        host=host_of(request),
        authorization=field_of(request, b"authorization"),
        client=client,
        secure=request.isSecure() or (behind and field_of(request, b"x-forwarded-proto") == "https"),
    )
