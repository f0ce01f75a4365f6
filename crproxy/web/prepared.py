"""Answers that are asked for again and again: kept as they go out, and found by the bytes of the request.

What a request says in other bytes is answered in the usual way. So is what was never answered before, or would be
answered otherwise now.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import Logger
from twisted.web.http import datetimeToString
from twisted.web.server import Request

from ..config import Config
from ..limits import Accounts
from ..limits.accepting import address_of
from ..policy.audit import Ending, Repeated
from ..policy.clients import client_of
from ..pullthrough import Reply
from ..pullthrough.lasting import Lasting
from .request import ObservedRequest, Whole

__all__ = ["MOST_PREPARED", "Prepared", "PreparedAnswers", "prepare"]

# Bytes of all of them together; of one request; of the answer to one, its header included.
MOST_PREPARED = 32 * 1024 * 1024
_LONGEST_REQUEST = 4096
_LONGEST_ANSWER = 256 * 1024
# What one takes in memory besides its bytes.
_OVERHEAD = 4096
_log = Logger("crproxy.web")

_END = b"\r\n\r\n"
# Fields with which the same bytes may ask for something else the next time, or for something of the connection.
_FOR_ONCE = (
    b"authorization",
    b"connection",
    b"content-length",
    b"expect",
    b"transfer-encoding",
    b"upgrade",
    b"x-request-id",
)

# Is told that a request came again, and the IP address of its client.
ObserveAgain = Callable[[Repeated, str | None], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An answer.

    Arguments:
        before: what goes out before the value of its Date, and
        after: what follows that, its body included.
        repeated: what is told of a request that it answers.
        lasting: tells whether it counts.
    """

    before: bytes
    after: bytes
    repeated: Repeated
    lasting: Lasting

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return len(self.before) + len(self.after) + self.repeated.size + _OVERHEAD


class PreparedAnswers:
    """The answers of one site, those that were asked for last.

    Arguments:
        current: returns the configuration that counts now; with another one, all are forgotten.
        accounts: count the requests.
        observe: is told of each request that is answered from here.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        current: Callable[[], Config],
        accounts: Accounts,
        observe: ObserveAgain,
        now: Callable[[], float],
        *,
        most: int = MOST_PREPARED,
    ) -> None:
        self._current = current
        self._accounts = accounts
        self._observe = observe
        self._now = now
        self._most = most
        self._answers: OrderedDict[tuple[bytes, str | None], Prepared] = OrderedDict()
        self._bytes = 0
        self._config: Config | None = None
        self._is_by_client = False
        self._date = (-1, b"")

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, asked: bytes, peer: str | None) -> bytes | None:
        """Return what goes out to a connection from ``peer`` that sent ``asked`` and nothing else; None is not known.

        It is told of, and counts for its client.
        """
        key = self._key(asked, peer)
        found = self._answers.get(key)
        if found is None:
            return None
        if not self._holds(found):
            self._forget(key)
            return None
        client = found.repeated.record.client if self._is_by_client else client_of(peer, (), ())
        if self._accounts.count_request(client):
            return None
        self._answers.move_to_end(key)
        self._tell(found.repeated, client)
        return b"".join((found.before, self._today(), found.after))

    def add(self, whole: Whole, peer: str | None, prepared: Prepared) -> None:
        """Keep the answer to ``whole``, which is the same for everybody, or at least for ``peer``.

        Unless another configuration counts by now: the answer may have taken long to go out.
        """
        asked = whole.asked
        key = self._key(asked, peer)
        if whole.config is not self._config:
            return
        self._forget(key)
        self._answers[key] = prepared
        self._bytes += len(asked) + prepared.size
        while self._bytes > self._most:
            self._forget(next(iter(self._answers)))

    def whole(self, asked: bytes) -> Whole:
        """Return a request that came in one piece, as it is to be added with."""
        return Whole(asked, self._current())

    def _holds(self, prepared: Prepared) -> bool:
        try:
            return prepared.lasting.holds()
        except Exception:
            # The usual way says what is wrong.
            _log.failure("what was answered before cannot be looked at")
            return False

    def _tell(self, repeated: Repeated, client: str | None) -> None:
        try:
            self._observe(repeated, client)
        except Exception:
            _log.failure("a request has no line in the audit log")

    def _key(self, asked: bytes, peer: str | None) -> tuple[bytes, str | None]:
        config = self._current()
        if config is not self._config:
            self._answers.clear()
            self._bytes = 0
            self._config = config
            # These may have something else answered to some clients, or have it depend on what they say of others.
            self._is_by_client = bool(
                config.access.privileged or config.listen.trusted_proxies or config.rules.are_about_clients
            )
        return asked, (peer if self._is_by_client else None)

    def _forget(self, key: tuple[bytes, str | None]) -> None:
        found = self._answers.pop(key, None)
        if found is not None:
            self._bytes -= len(key[0]) + found.size

    def _today(self) -> bytes:
        """Return the value of Date (RFC 9110, 6.6.1)."""
        second = int(self._now())
        if self._date[0] != second:
            self._date = second, datetimeToString(second)
        return self._date[1]


def prepare(request: Request, reply: Reply) -> None:
    """Keep what ``request`` was answered, ``reply``, if that can be done."""
    answers = getattr(request.site, "prepared", None)
    if answers is None or reply.lasting is None or not isinstance(request, ObservedRequest):
        return
    told, whole = request.told, request.whole
    body = getattr(reply.body, "content", None) if request.method == b"GET" else b""
    if told is None or whole is None or body is None or told.ending is not Ending.WHOLE:
        return
    if not _is_plain(request, whole.asked):
        return
    header = _header(request)
    if header is None or len(body) + len(header[1]) > _LONGEST_ANSWER:
        return
    prepared = Prepared(header[0], header[1] + body, Repeated(told), reply.lasting)
    answers.add(whole, address_of(request.getClientAddress()), prepared)


def _is_plain(request: ObservedRequest, asked: bytes) -> bool:
    """Tell whether its bytes, which are ``asked``, ask for one thing, and for nothing else."""
    if len(asked) > _LONGEST_REQUEST or not asked.endswith(_END) or asked.count(_END) != 1:
        return False
    is_for_once = any(request.requestHeaders.hasHeader(name) for name in _FOR_ONCE)
    return request.clientproto == b"HTTP/1.1" and request.code == 200 and not is_for_once


def _header(request: Request) -> tuple[bytes, bytes] | None:
    """Return the header that was sent, around the value of its Date; None where it is not one that can be repeated."""
    before, after = b"%b %d OK\r\n" % (request.clientproto, request.code), b""
    lines = [(name, value) for name, values in request.responseHeaders.getAllRawHeaders() for value in values]
    names = [name.lower() for name, _ in lines]
    if names.count(b"date") != 1 or b"content-length" not in names or b"connection" in names:
        return None
    date = names.index(b"date")
    before += b"".join(b"%b: %b\r\n" % line for line in lines[:date]) + b"%b: " % lines[date][0]
    after = b"\r\n" + b"".join(b"%b: %b\r\n" % line for line in lines[date + 1 :]) + b"\r\n"
    return before, after
