"""What other nodes are answered: the bytes of a blob that is here, or on its way here, and who this node is.

Who asks is a node: nobody else gets this far (see `NodesOnly`). So nothing is asked of upstream for it, no permission
is looked at, and no limit of clients' counts.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import Request

from ..config import Timeouts
from ..peers.addresses import key_in
from ..policy.ranges import ByteRange, parse_ranges
from ..pullthrough import Content, Reply
from ..web.answering import answer
from ..web.branch import Branch
from ..web.error_pages import NotFound
from ..web.request import Observe
from ..web.site import PlainSite
from .about import About
from .having import Having

__all__ = ["make_node_site"]

_WRITE_SECONDS = Timeouts().write


def make_node_site(
    having: Having,
    about: Callable[[], About],
    reactor: IReactorTime,
    write: float = _WRITE_SECONDS,
    observe: Observe | None = None,
) -> PlainSite:
    """Return the site that other nodes ask, by GET or HEAD.

    ``/v1/blobs/DIGEST?pool=REGISTRY&origin=REGISTRY`` is a blob, or one Range of it. ``/v1/node`` is this node.

    Arguments:
        having: finds what there is of a blob.
        about: says what this node is.
        reactor: times connections.
        write: seconds after which a node that takes nothing of an answer is cut off.
        observe: is told of each request that is over.
    """
    root, version = Branch(), Branch()
    root.putChild(b"v1", version)
    version.putChild(b"blobs", _Blobs(having))
    version.putChild(b"node", _Node(about))
    return PlainSite.make(root, "nodes", reactor, observe, write)


class _Blobs(Branch):
    """``/v1/blobs``."""

    def __init__(self, having: Having) -> None:
        super().__init__()
        self._having = having

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Return the blob (IResource)."""
        return NotFound() if request.postpath else _Blob(self._having, path.decode("ascii", "replace"))


class _Blob(Branch):
    """``GET /v1/blobs/DIGEST``."""

    isLeaf = True

    def __init__(self, having: Having, digest: str) -> None:
        super().__init__()
        self._having = having
        self._digest = digest

    def render_GET(self, request: Request) -> int:
        return answer(request, self._reply(request))

    async def _reply(self, request: Request) -> Reply:
        args: dict[bytes, list[bytes]] = request.args or {}
        query = {name.decode("ascii", "replace"): values[0].decode("ascii", "replace") for name, values in args.items()}
        return await self._having.get(key_in(self._digest, query), _wanted(request.getHeader("range")))


class _Node(Branch):
    """``GET /v1/node``."""

    isLeaf = True

    def __init__(self, about: Callable[[], About]) -> None:
        super().__init__()
        self._about = about

    def render_GET(self, request: Request) -> int:
        return answer(request, self._reply())

    async def _reply(self) -> Reply:
        return Reply(200, {"Content-Type": "application/json"}, Content(self._about().as_json()))


def _wanted(field: str | None) -> ByteRange | None:
    """Return what a Range asks for, if it is one from a first byte on.

    No node asks otherwise, and "a server MAY ignore the Range header field" (RFC 9110, 14.2).
    """
    wanted = parse_ranges(field)
    return wanted[0] if len(wanted) == 1 and wanted[0].first is not None else None
