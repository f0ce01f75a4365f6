"""Server-sent events (HTML Living Standard, 9.2): what has changed of the page, for as long as somebody looks.

Each part is sent whole, so that who takes one late misses nothing; who takes nothing is cut off.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from twisted.web.server import Request
from zope.interface import implementer

from ...oci.errors import ErrorCode, RegistryError
from ...sharing import Count

__all__ = ["Streams"]

# Streams at a time, of all workers.
_MOST = 16
# Seconds between two looks; without a word, so that whatever is in between keeps the connection; and without the
# client taking what it was sent.
_LOOK, _QUIET, _SLOW = 1.0, 15.0, 10.0
# Milliseconds after which a browser comes back.
_RETRY = 3000

# Returns the parts of the page as they are now, by the id of the element that each is in.
ReadParts = Callable[[], Awaitable[Mapping[str, str]]]


class Streams:
    """Sends them.

    Arguments:
        counts: how many there are, in all workers.
        clock: the time.
    """

    def __init__(self, counts: Count, clock: IReactorTime) -> None:
        self._counts = counts
        self._clock = clock

    async def send(self, request: Request, read: ReadParts) -> None:
        """Send ``request`` what has changed, until its client leaves, is too slow, or the daemon stops.

        Arguments:
            read: returns the parts; raises RegistryError where the client is let in no more.

        Raises:
            RegistryError: TOOMANYREQUESTS where there are too many.
        """
        is_much = self._counts.add("all") > _MOST
        try:
            if is_much:
                raise RegistryError(ErrorCode.TOOMANYREQUESTS, "too many pages are open", retry_after=15)
            await self._send(request, read)
        finally:
            self._counts.remove("all")

    async def _send(self, request: Request, read: ReadParts) -> None:
        request.setHeader("Content-Type", "text/event-stream")
        # nginx would keep it until it has enough of it.
        request.setHeader("X-Accel-Buffering", "no")
        flow = _Flow(self._clock)
        request.registerProducer(flow, True)
        request.write(f"retry: {_RETRY}\n\n".encode())
        said, spoke = dict[str, str](), self._clock.seconds()
        site: Any = request.site
        while not site.connections.closing:
            if flow.is_held_for(_SLOW):
                cast(Any, request.transport).abortConnection()
                raise CancelledError
            if not flow.is_held:
                try:
                    parts = await read()
                except RegistryError:
                    break
                changed = {name: html for name, html in parts.items() if said.get(name) != html}
                said.update(changed)
                for name, html in changed.items():
                    request.write(_event(name, html))
                if changed:
                    spoke = self._clock.seconds()
                elif self._clock.seconds() - spoke >= _QUIET:
                    spoke = self._clock.seconds()
                    request.write(b":\n\n")
            await deferLater(self._clock, _LOOK)
        request.unregisterProducer()
        request.finish()


@implementer(IPushProducer)
class _Flow:
    """Whether the client takes what it is sent."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._since: float | None = None

    @property
    def is_held(self) -> bool:
        return self._since is not None

    def is_held_for(self, seconds: float) -> bool:
        return self._since is not None and self._clock.seconds() - self._since >= seconds

    def pauseProducing(self) -> None:
        self._since = self._clock.seconds() if self._since is None else self._since

    def resumeProducing(self) -> None:
        self._since = None

    def stopProducing(self) -> None:
        """The client is gone: the request's end cancels what writes."""


def _event(name: str, html: str) -> bytes:
    data = json.dumps({"id": name, "html": html})
    return f"event: part\ndata: {data}\n\n".encode()
