"""What is answered in the clear where there is TLS: a CA's look, and everybody else's way to https."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import Request

from .. import __version__
from ..config import Config
from ..login import TOKEN_PATH
from ..oci.errors import ErrorCode, RegistryError
from ..policy.routing import place
from ..pullthrough import Reply
from .answering import answer
from .branch import Branch
from .error_pages import NotFound, error_page
from .request import Observe, host_of
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
    observe: Observe | None = None,
) -> PlainSite:
    """Return the site of the plain endpoints.

    Arguments:
        otherwise: serves what a CA does not look for; None redirects it to https.
        current: returns the configuration that counts now.
        port: of https.
        observe: is told of each request that is over.
    """
    root = _Plain(find_answer, otherwise or _Redirect(current, port))
    site = PlainSite.make(root, "plain", reactor, observe, current().timeouts.write)
    site.trusted = lambda: current().listen.trusted_proxies
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
        return NotFound() if answer is None else _Answer(answer)


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
        # As everywhere else: whoever looks what answers here is to see it.
        request.setHeader("Server", f"crproxy/{__version__}")
        host = host_of(request)
        try:
            place(self._current().names, host)
        except RegistryError as error:
            return _refused(request, error)
        if not request.uri.startswith(b"/"):
            # Written after a host, "@example.com/" would be another one.
            return _refused(request, RegistryError(ErrorCode.UNSUPPORTED, "ask for a path", status=400))
        # What place() took for the name, so one from the configuration; it looks at nothing after the first colon.
        name = host.partition(":")[0].lower().removesuffix(".")
        port = "" if self._port == _HTTPS_PORT else f":{self._port}"
        request.setResponseCode(_PERMANENT_REDIRECT)
        request.setHeader("Location", f"https://{name}{port}".encode() + request.uri)
        return b""


def _refused(request: Request, error: RegistryError) -> bytes | int:
    """Answer with ``error`` as elsewhere: in the registry's form where its clients ask, else as a page."""
    path = request.path.decode("latin-1")
    if path == TOKEN_PATH or path.split("/")[1:2] == ["v2"]:
        return answer(request, _raised(error))
    return error_page(request, error.status, error.message)


async def _raised(error: RegistryError) -> Reply:
    raise error
