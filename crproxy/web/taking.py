"""Whether a client takes what it is sent: looked at now and then, by one timer, since it pauses often.

What becomes of one that takes nothing is not known here.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from .backlog import backlog

__all__ = ["Taking"]

# So often a client that may take nothing is looked at in the time that it has.
_LOOKS = 4


class Taking:
    """Looks at one client, while somebody waits for it.

    Arguments:
        call_later: calls in so many seconds, as a reactor does.
        seconds: returns those that a client has to take something.
        transport: returns its connection.
        is_over: tells whether nothing more is sent: what is empty then is taken for one that takes nothing.
        cut_off: is called where it took nothing in its time.
    """

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], object]], IDelayedCall],
        seconds: Callable[[], float],
        transport: Callable[[], object],
        is_over: Callable[[], bool],
        cut_off: Callable[[], object],
    ) -> None:
        self.is_watched = False
        self._call_later = call_later
        self._seconds = seconds
        self._transport = transport
        self._is_over = is_over
        self._cut_off = cut_off
        self._look: IDelayedCall | None = None
        self._looks = 0
        self._seen: tuple[int, int] | None = None

    def watch(self) -> None:
        """Look at it from now on."""
        self.is_watched = True
        if self._look is None:
            self._looks, self._seen = 0, backlog(self._transport())
            self._look_later()

    def taken(self) -> None:
        """It takes something, whatever may look the same when it is full again."""
        self.is_watched, self._seen = False, None

    def forget(self) -> None:
        """Look no more."""
        self.is_watched = False
        look, self._look = self._look, None
        if look is not None:
            look.cancel()

    def _look_later(self) -> None:
        self._look = self._call_later(self._seconds() / _LOOKS, self._look_at_client)

    def _look_at_client(self) -> None:
        self._look = None
        if not self.is_watched:
            return
        seen, before = backlog(self._transport()), self._seen
        self._looks, self._seen = (self._looks + 1 if seen == before else 0), seen
        # Closed, and nothing left to be taken: the client does not answer TLS's farewell.
        is_empty = self._is_over() and seen == (0, 0)
        if self._looks < _LOOKS and not is_empty:
            self._look_later()
        else:
            self._cut_off()
