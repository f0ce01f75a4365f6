"""A reply, on its way to a client."""

from __future__ import annotations

from twisted.web.server import Request

from ..pullthrough import Reply

__all__ = ["send"]


async def send(request: Request, reply: Reply) -> None:
    """Answer ``request`` with ``reply``; returns when all of it was written.

    Raises what the body raises when it is cut short: the header has gone out then, and the connection must be aborted,
    so that the client does not take a part for the whole.
    """
    request.setResponseCode(reply.status)
    for name, value in reply.headers.items():
        request.setHeader(name, value)
    if request.method == b"HEAD":
        _name_length(request, reply)
        reply.body.abandon()
    else:
        _name_length(request, reply)
        await reply.body.join(request)
    request.finish()


def _name_length(request: Request, reply: Reply) -> None:
    length = reply.body.length
    if length is not None and "Content-Length" not in reply.headers:
        request.setHeader("Content-Length", str(length))
