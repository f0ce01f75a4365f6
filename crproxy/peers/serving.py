"""What other workers are given: the bytes of a blob that this one has in memory, as they come."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import Request

from ..flights import Flights
from ..flights.window import FellBehind
from ..policy.ranges import Slice, parse_ranges
from ..pullthrough import Reply
from ..store.blobs import PartialKey
from ..upstream.client import Streamed
from ..web.answering import answer
from ..web.branch import Branch
from ..web.site import PlainSite
from .addresses import key_in

__all__ = ["from_memory", "make_peer_site"]


def make_peer_site(flights: Flights, reactor: IReactorTime) -> PlainSite:
    """Return the site that other workers ask: ``/blobs/DIGEST?origin=REGISTRY&pool=REGISTRY``, from a Range on."""
    root = Branch()
    root.putChild(b"blobs", _Blobs(flights))
    return PlainSite.make(root, "peers", reactor, None)


class _Blobs(Branch):
    """``/blobs``."""

    def __init__(self, flights: Flights) -> None:
        super().__init__()
        self._flights = flights

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Return the blob (IResource)."""
        return _Blob(self._flights, path.decode("ascii", "replace"))


class _Blob(Branch):
    """``GET /blobs/DIGEST``."""

    isLeaf = True

    def __init__(self, flights: Flights, digest: str) -> None:
        super().__init__()
        self._flights = flights
        self._digest = digest

    def render_GET(self, request: Request) -> int:
        return answer(request, self._reply(request))

    async def _reply(self, request: Request) -> Reply:
        args: dict[bytes, list[bytes]] = request.args or {}
        query = {name.decode("ascii", "replace"): values[0].decode("ascii", "replace") for name, values in args.items()}
        wanted = parse_ranges(request.getHeader("range"))
        start = (wanted[0].first if wanted else None) or 0
        return await from_memory(self._flights, key_in(self._digest, query), start)


async def from_memory(flights: Flights, key: PartialKey, start: int) -> Reply:
    """Return the reply with the bytes from ``start`` on, 416 without those, 404 without any. Raises RegistryError."""
    flight = flights.past_the_disk(key)
    if flight is None:
        return Reply(404)
    size = await flight.known()
    if not flight.has(start) or (start and (size is None or start >= size)):
        return Reply(416)
    if size is None:
        return Reply(200, _TYPE, flight.reader(None, _Nowhere()))
    part = Slice(start, size, size)
    return Reply(206, {**_TYPE, "Content-Range": part.content_range}, flight.reader(part, _Nowhere()))


class _Nowhere:
    """What another worker has that falls behind (Source): it asks upstream itself, for whom it reads."""

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Fail (Source)."""
        raise FellBehind(f"byte {start} is not in memory here any more")

    async def size(self) -> int | None:
        """Say nothing (Source)."""
        return None

    @property
    def parallel(self) -> None:
        """Have it be none (Source)."""

    def blame(self) -> None:
        """Blame nobody: nothing came (Source)."""


_TYPE: dict[str, Any] = {"Content-Type": "application/octet-stream"}
