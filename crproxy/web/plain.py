"""What is answered in the clear where there is TLS: a CA's look, and everybody else's way to https."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IReactorTime
from twisted.web.pages import errorPage, notFound
from twisted.web.resource import IResource
from twisted.web.server import Request

from ..config import Config
from ..oci.errors import RegistryError
from ..policy.routing import place
from .branch import Branch
from .site import PlainSite

__all__ = ["make_plain_site"]

# Permanent, and the method stays (RFC 9110, 15.4.9).
_PERMANENT_REDIRECT = 308
_HTTPS_PORT = 443

# Returns what a CA is to be shown for a token (RFC 8555, 8.3); None where it is not looking for that.
FindAnswer = Callable[[str], "str | None"]


def make_plain_site(
    find_answer: FindAnswer,
    otherwise: IResource | None,
    current: Callable[[], Config],
    port: int,
    reactor: IReactorTime,
) -> PlainSite:
    """Return the site of the plain endpoints.

    Arguments:
        otherwise: serves what a CA does not look for; None redirects it to https.
        current: returns the configuration that counts now.
        port: of https.
    """
    site = PlainSite(_Plain(find_answer, otherwise or _Redirect(current, port)), reactor=reactor)
    site.displayTracebacks = False
    return site


class _Plain(Branch):
    """The root: one well-known path, and the rest."""

    def __init__(self, find_answer: FindAnswer, otherwise: IResource) -> None:
        super().__init__()
        well_known = Branch()
        well_known.putChild(b"acme-challenge", _Challenges(find_answer))
        self.putChild(b".well-known", well_known)
        self._otherwise = otherwise

    def getChild(self, path: bytes, request: Request) -> IResource:
        if self._otherwise.isLeaf:
            return self._otherwise
        found: IResource = self._otherwise.getChildWithDefault(path, request)
        return found


class _Challenges(Branch):
    """Answers HTTP-01, whatever the Host: the token is secret enough."""

    def __init__(self, find_answer: FindAnswer) -> None:
        super().__init__()
        self._find_answer = find_answer

    def getChild(self, path: bytes, request: Request) -> IResource:
        answer = self._find_answer(path.decode("ascii", "replace"))
        return notFound() if answer is None else _Answer(answer)


class _Answer(Branch):
    isLeaf = True

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/octet-stream")
        return self._text.encode("ascii")


class _Redirect(Branch):
    """Sends everybody to the same place by https, if it is ours."""

    isLeaf = True

    def __init__(self, current: Callable[[], Config], port: int) -> None:
        super().__init__()
        self._current = current
        self._port = port

    def render(self, request: Request) -> bytes | int:
        host = request.getHeader("host") or ""
        try:
            place(self._current().names, host)
        except RegistryError as error:
            return cast(bytes, errorPage(error.status, "Misdirected Request", error.message).render(request))
        if not request.uri.startswith(b"/"):
            # Written after a host, "@example.com/" would be another one.
            return cast(bytes, errorPage(400, "Bad Request", "Ask for a path.").render(request))
        # What place() took for the name, so one from the configuration; it looks at nothing after the first colon.
        name = host.partition(":")[0].lower().removesuffix(".")
        port = "" if self._port == _HTTPS_PORT else f":{self._port}"
        request.setResponseCode(_PERMANENT_REDIRECT)
        request.setHeader("Location", f"https://{name}{port}".encode() + request.uri)
        return b""
