"""What checks are run with: a reactor, a resolver, this machine's addresses, and the time."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from ...policy.endpoints import Endpoint
from .holders import Holder, find_holder

__all__ = ["CONNECT_SECONDS", "SECONDS", "ProbeEnvironment", "Resolve", "is_here", "resolver"]

# For one question: somebody sits and waits.
SECONDS = 10.0
# Until a connection stands: less, so that it is known which of both it was.
CONNECT_SECONDS = 5.0

# Returns a name's addresses; none where it has none.
Resolve = Callable[[str], Awaitable[frozenset[str]]]


@dataclass(frozen=True, slots=True)
class ProbeEnvironment:
    """What is handed to each check.

    Arguments:
        reactor: runs it.
        resolve: looks names up.
        is_here: tells whether an address is one of this machine's.
        now: returns seconds since the epoch.
        holder: returns who listens somewhere on this machine; None where that cannot be told.
    """

    reactor: Any
    resolve: Resolve
    is_here: Callable[[str], bool] = field(default_factory=lambda: is_here)
    now: Callable[[], float] = time.time
    holder: Callable[[Endpoint], Holder | None] = find_holder


def is_here(address: str) -> bool:
    """Tell whether ``address`` is one of this machine's: only those can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as bound:
            bound.bind((address, 0))
    except OSError:
        return False
    return True


def resolver(reactor: Any) -> Resolve:
    """Return what looks names up as the daemon does: with the reactor's own resolver."""

    async def resolve(name: str) -> frozenset[str]:
        receiver = _Receiver()
        resolution = reactor.nameResolver.resolveHostName(receiver, name)
        receiver.complete.addTimeout(SECONDS, reactor, lambda *_: resolution.cancel())
        try:
            return await receiver.complete
        except DNSLookupError:
            return frozenset()

    return resolve


@implementer(IResolutionReceiver)
class _Receiver:
    """Collects the addresses of one name."""

    def __init__(self) -> None:
        self.complete: Deferred[frozenset[str]] = Deferred()
        self._found: set[str] = set()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Begin (IResolutionReceiver)."""

    def addressResolved(self, address: IAddress) -> None:
        """Take in an address (IResolutionReceiver)."""
        self._found.add(str(getattr(address, "host", "")))

    def resolutionComplete(self) -> None:
        """End (IResolutionReceiver)."""
        if not self.complete.called:
            self.complete.callback(frozenset(self._found))
