"""A part of a site's tree: what is not there is a 404, what cannot be done a 405, both without Twisted's old pages."""

from __future__ import annotations

from typing import cast

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from .error_pages import NotFound, error_page

__all__ = ["Branch"]


class Branch(Resource):
    """Answers the methods that it has a ``render_METHOD`` for; nothing is below it but its children."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Return what is below it where there is nothing (IResource)."""
        return NotFound()

    def render(self, request: Request) -> bytes | int:
        """Answer, or say that this cannot be done (IResource)."""
        method = request.method.decode("ascii", "replace")
        # Resource.render_HEAD is there without a render_GET, which it calls.
        if not hasattr(self, f"render_{'GET' if method == 'HEAD' else method}"):
            return error_page(request, 405, "This cannot be done here.")
        return cast("bytes | int", super().render(request))
