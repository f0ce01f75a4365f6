"""Errors as people see them in a browser: what is wrong, and the id by which the log can be searched for it."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from twisted.web.pages import errorPage
from twisted.web.resource import Resource
from twisted.web.server import Request

from ..policy.request_ids import with_id
from .request import id_of

__all__ = ["NotFound", "error_page"]


def error_page(request: Request, status: int, message: str) -> bytes:
    """Return a page that says ``message``, and set the header of the answer."""
    page = errorPage(status, HTTPStatus(status).phrase, with_id(message, id_of(request)))
    return cast(bytes, page.render(request))


class NotFound(Resource):
    """What is not there, whatever the method."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Say so (IResource)."""
        return error_page(request, 404, "There is nothing here.")
