"""A source of which several parts are asked for at once, which have to be of one and the same content."""

from __future__ import annotations

from .client import RangeRefused, Streamed
from .resuming import Open

__all__ = ["Compared", "OtherContent"]


class OtherContent(RangeRefused):
    """A part is of something else than what the first answer was of."""


class Compared:
    """What is asked, whose first answer, by `open`, is what `open_part` compares others with.

    ``takes_ranges``: that answer does not say that it knows no ranges.
    """

    def __init__(self, open_: Open) -> None:
        self.takes_ranges = True
        self._open = open_
        self._is_answered = False
        self._etag: str | None = None
        self._size: int | None = None

    def know(self, size: int | None) -> None:
        """The first answer says that there are so many bytes."""
        self._size = size

    def check(self, size: int | None) -> None:
        """Raise OtherContent where another answer says that there are ``size``, and not as many as the first."""
        if size is not None and size != self._size:
            raise OtherContent(206)

    async def open(self, start: int, stop: int | None) -> Streamed:
        """Ask for the bytes (Open)."""
        streamed = await self._open(start, stop)
        if not self._is_answered:
            self._is_answered = True
            self._etag = _strong(streamed)
            # "none" is "to advise the client not to attempt a range request" (RFC 9110, 14.3).
            self.takes_ranges = streamed.headers.get("accept-ranges", "").strip().lower() != "none"
        return streamed

    async def open_part(self, start: int, stop: int | None) -> Streamed:
        """Ask for some of them beside the first. Raises RangeRefused where all come, OtherContent, RegistryError."""
        streamed = await self._open(start, stop)
        error = self._error(streamed)
        if error is not None:
            streamed.body.abandon()
            raise error
        return streamed

    def _error(self, streamed: Streamed) -> RangeRefused | None:
        if streamed.status != 206:
            return RangeRefused(streamed.status)
        etag = _strong(streamed)
        # Parts may be put together "if they all share the same strong validator" (RFC 9110, 15.3.7.3). Not all
        # registries send one: what counts is the digest in the end.
        if etag is not None and self._etag not in (None, etag):
            return OtherContent(streamed.status)
        return None


def _strong(streamed: Streamed) -> str | None:
    """Return the strong entity tag of an answer (RFC 9110, 8.8.3); None where it has none."""
    etag = streamed.headers.get("etag", "").strip()
    return etag if etag.startswith('"') else None
