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
    if reply.body.length is not None:
        request.setHeader("Content-Length", str(reply.body.length))
    # The header goes out now: containerd waits 30 s for it, and upstream may take longer to its first byte.
    request.write(b"")
    if request.method == b"HEAD":
        reply.body.abandon()
    else:
        await reply.body.join(request)
    request.finish()
