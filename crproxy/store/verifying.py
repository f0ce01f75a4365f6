"""Between upstream and a client when nothing is kept: the last byte passes only once all bytes are the right ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from ..oci.digests import Verifier
from .blobs import WrongContent

__all__ = ["Unread", "Verifying"]


@implementer(IConsumer)
class Unread:
    """Takes a body in for nobody: what comes is checked on its way here, and that is all that is wanted."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let it come as fast as it may (IConsumer)."""

    def unregisterProducer(self) -> None:
        """No more comes (IConsumer)."""

    def write(self, data: bytes | memoryview) -> None:
        """Let go of a piece (IConsumer)."""


@implementer(IConsumer)
class Verifying:
    """Hands a body through to ``consumer``, but for its last byte, which waits for `finish`.

    Arguments:
        verifier: has taken in what came before.
    """

    def __init__(self, consumer: IConsumer, verifier: Verifier) -> None:
        self._consumer = consumer
        self._verifier = verifier
        self._held = b""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Hand through (IConsumer)."""
        self._consumer.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Hand through (IConsumer)."""
        self._consumer.unregisterProducer()

    def write(self, data: bytes | memoryview) -> None:
        """Hand through what is followed by something (IConsumer)."""
        if not data:
            return
        self._verifier.update(data)
        if len(data) > 1 or self._held:
            self._consumer.write(self._held + data[:-1])
        self._held = bytes(data[-1:])

    def check(self, blame: Callable[[], object] = lambda: None) -> None:
        """Return where all that came is right, or raise WrongContent; ``blame`` is called before that."""
        if not self._verifier.matches():
            blame()
            raise WrongContent(f"the bytes that came for {self._verifier.digest} are others")

    def finish(self) -> None:
        """Hand through the last byte of what is right."""
        self._consumer.write(self._held)
