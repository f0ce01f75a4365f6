"""A name server that says what a test tells it, also something else each time, and remembers who was asked for."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Self

from twisted.names import dns

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EveryName", "NameServer"]

_NO_SUCH_NAME = 3


class EveryName(Mapping[str, "Sequence[str]"]):
    """A zone in which every name there can be is 127.0.0.1, and none has an IPv6 address."""

    def __getitem__(self, name: str) -> Sequence[str]:
        return ("127.0.0.1",)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("there is no end to them")

    def __len__(self) -> int:
        raise TypeError("there is no end to them")


class NameServer:
    """Answers over UDP; leaving the ``with`` block ends it. Nothing it says may be kept: each TTL is 0.

    Arguments:
        bound: the socket that it is asked at.
        zone: for each name its addresses, or another name that it stands for.
        turns: for each name its addresses at the first look-up, the second, and so on; the last ones stay.
    """

    def __init__(
        self,
        bound: socket.socket,
        zone: Mapping[str, Sequence[str] | str],
        turns: Mapping[str, Sequence[Sequence[str]]] | None = None,
    ) -> None:
        self._socket = bound
        self._zone = zone
        self._turns = {(name, kind): list(each) for name, each in (turns or {}).items() for kind in (dns.A, dns.AAAA)}
        self._asked: list[str] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        # Wakes it up.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    @property
    def asked(self) -> list[str]:
        """The names it was asked for so far, once for each kind of address."""
        with self._lock:
            return list(self._asked)

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if self._stopping:
                return
            self._socket.sendto(self._answer(data), client)

    def _answer(self, data: bytes) -> bytes:
        message = dns.Message()
        message.fromStr(data)
        (query,) = message.queries
        name = query.name.name.decode("ascii").lower()
        with self._lock:
            self._asked.append(name)
        reply = dns.Message(message.id, answer=1, recAv=1, recDes=message.recDes)
        reply.queries = message.queries
        reply.answers = self._records(name, query.type)
        if not self._knows(name):
            reply.rCode = _NO_SUCH_NAME
        encoded: bytes = reply.toStr()
        return encoded

    def _knows(self, name: str) -> bool:
        return name in self._zone or (name, dns.A) in self._turns

    def _records(self, name: str, kind: int) -> list[dns.RRHeader]:
        found = self._next(name, kind)
        if isinstance(found, str):
            alias = dns.RRHeader(name, dns.CNAME, ttl=0, payload=dns.Record_CNAME(found, 0))
            return [alias, *self._records(found, kind)]
        version, record = (4, dns.Record_A) if kind == dns.A else (6, dns.Record_AAAA)
        return [
            dns.RRHeader(name, kind, ttl=0, payload=record(address, 0))
            for address in found
            if kind in (dns.A, dns.AAAA) and ipaddress.ip_address(address).version == version
        ]

    def _next(self, name: str, kind: int) -> Sequence[str] | str:
        turns = self._turns.get((name, kind))
        if turns is None:
            return self._zone.get(name, ())
        return turns.pop(0) if len(turns) > 1 else turns[0]
