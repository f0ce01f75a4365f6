"""What reached a scripted upstream and what it sent: an account that its threads keep and that tests await."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .answers import Request

__all__ = ["Exchange", "Ledger"]


@dataclass(slots=True)
class Exchange:
    """A request that came, and what has gone out for it."""

    request: Request
    sent: int = 0
    # How many others for the same path were not over when it came.
    beside: int = 0
    is_over: bool = False


class Ledger:
    """The account of one upstream. Connections are numbered from 0, in the order they were accepted in."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._exchanges: list[Exchange] = []
        self._accepted = 0
        self._closed: set[int] = set()

    def accept(self) -> int:
        """Enter a new connection; return its number."""
        with self._news:
            self._accepted += 1
            self._news.notify_all()
            return self._accepted - 1

    def close(self, connection: int) -> None:
        """Enter that a connection has ended."""
        with self._news:
            self._closed.add(connection)
            self._news.notify_all()

    def receive(self, request: Request) -> Exchange:
        """Enter a request."""
        exchange = Exchange(request)
        with self._news:
            exchange.beside = sum(other.request.path == request.path and not other.is_over for other in self._exchanges)
            self._exchanges.append(exchange)
            self._news.notify_all()
        return exchange

    def finish(self, exchange: Exchange) -> None:
        """Enter that a request is answered, or will not be."""
        with self._news:
            exchange.is_over = True
            self._news.notify_all()

    def most_at_once(self, path: str) -> int:
        """How many requests for paths with ``path`` in them were being answered at the same time, at the most."""
        return max((exchange.beside + 1 for exchange in self._about(path, None)), default=0)

    def send(self, exchange: Exchange, count: int) -> None:
        """Enter that more of a body has gone out."""
        with self._news:
            exchange.sent += count
            self._news.notify_all()

    @property
    def accepted(self) -> int:
        """How many connections were accepted so far."""
        with self._news:
            return self._accepted

    @property
    def open_connections(self) -> int:
        """How many connections are there."""
        with self._news:
            return self._accepted - len(self._closed)

    def requests(self, path: str = "", method: str | None = None) -> list[Request]:
        """The requests so far whose path has ``path`` in it."""
        return [exchange.request for exchange in self._about(path, method)]

    def sent(self, path: str) -> int:
        """How many bytes of bodies have gone out so far for paths with ``path`` in them."""
        return sum(exchange.sent for exchange in self._about(path, None))

    def all_sent(self, path: str, expected: int) -> int:
        """As ``sent``, once that is ``expected`` or more: a client may have a piece before its sending is entered."""
        self.wait_for(lambda: self.sent(path) >= expected)
        return self.sent(path)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until ``condition`` holds; it is looked at whenever something is entered."""
        with self._news:
            assert self._news.wait_for(condition, seconds), f"not within {seconds} s; had {self._exchanges}"

    def wait_for_request(self, path: str, seconds: float = 60) -> Request:
        """Wait for the first request whose path has ``path`` in it."""
        self.wait_for(lambda: bool(self.requests(path)), seconds)
        return self.requests(path)[0]

    def wait_until_closed(self, connection: int, seconds: float = 60) -> None:
        """Wait until a connection has ended."""
        self.wait_for(lambda: connection in self._closed, seconds)

    def wait_until_still(self, window: float = 0.5, seconds: float = 60) -> None:
        """Wait until nothing at all was entered for ``window`` seconds."""
        deadline = time.monotonic() + seconds
        with self._news:
            while self._news.wait(window):
                assert time.monotonic() < deadline, f"never still for {window} s"

    def _about(self, path: str, method: str | None) -> list[Exchange]:
        with self._news:
            return [
                exchange
                for exchange in self._exchanges
                if path in exchange.request.path and method in (None, exchange.request.method)
            ]
