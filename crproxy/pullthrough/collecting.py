"""Bodies that are wanted whole, in memory, and are small."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from ..oci.errors import ErrorCode, RegistryError
from ..policy.refusals import RETRY_AFTER
from .reply import Body

__all__ = ["collected"]


async def collected(body: Body, limit: int, too_long: str) -> bytes:
    """Return all of a body.

    Arguments:
        limit: bytes at the most.
        too_long: what to say where it is more.

    Raises:
        RegistryError: MANIFEST_INVALID, where it is too much; UNAVAILABLE, where it is cut short.
    """
    if body.length is not None and body.length > limit:
        body.abandon()
        raise _refusal(too_long)
    collecting = _Collecting(limit)
    try:
        await body.join(collecting)
    except (RegistryError, CancelledError):
        raise
    except Exception as error:
        if not collecting.is_full:
            why = f"what belongs to the image was cut short: {error}"
            raise RegistryError(ErrorCode.UNAVAILABLE, why, retry_after=RETRY_AFTER) from error
    if collecting.is_full:
        raise _refusal(too_long)
    return b"".join(collecting.pieces)


def _refusal(too_long: str) -> RegistryError:
    return RegistryError(ErrorCode.MANIFEST_INVALID, too_long, status=502)


@implementer(IConsumer)
class _Collecting:
    """Keeps what it is given, up to ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.pieces: list[bytes] = []
        self._room = limit
        self._producer: Any = None

    @property
    def is_full(self) -> bool:
        """Whether more came than is kept."""
        return self._room < 0

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take in what ``producer`` gives (IConsumer)."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """No more comes (IConsumer)."""
        self._producer = None

    def write(self, data: bytes | memoryview) -> None:
        """Take in a piece, which is copied (IConsumer)."""
        self._room -= len(data)
        if not self.is_full:
            self.pieces.append(bytes(data))
        elif self._producer is not None:
            self._producer.stopProducing()
