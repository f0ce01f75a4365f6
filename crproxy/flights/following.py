"""What has come of a transfer, on its way to one consumer: from memory as long as it is there, else from the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..store.files import FileFlow
from ..store.filling import Filling
from ..transports.files import send_view
from .window import NotKept

__all__ = ["FollowingFlow"]


class FollowingFlow(FileFlow):
    """Bytes of a file that is being filled. Who keeps up with the filling waits for no disk.

    Arguments:
        fd: of the file; closed here.
        start: the first byte.
        stop: the byte after the last one; None while nobody knows it.
        readable: how much has come.
        filling: returns what fills it, if anything does.
    """

    def __init__(
        self, fd: int, start: int, stop: int | None, readable: int, filling: Callable[[], Filling | None]
    ) -> None:
        super().__init__(fd, start, stop, readable)
        self._filling = filling

    def _send(self, consumer: Any, wanted: int) -> int:
        filling = self._filling()
        if filling is None:
            return super()._send(consumer, wanted)
        in_file = filling.in_memory - self.position
        if in_file > 0:
            return super()._send(consumer, min(wanted, in_file))
        piece = filling.read(self.position, wanted)
        if piece is None:
            raise NotKept("the disk has not taken it")
        with piece:
            return send_view(consumer, piece)
