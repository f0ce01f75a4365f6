"""What clients do, for the operator's page: the answers that are under way, and who has pulled what last.

Bounded, and in memory alone: what was before the start nobody remembers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from ..admin.page.overview import Pull, PullKey, Serving
from ..policy.audit import Record
from ..web.request import ObservedRequest

__all__ = ["Traffic"]

Key = TypeVar("Key")
Value = TypeVar("Value")

# Images, and users, whose last pull is remembered.
_MOST = 2000
# What a socket of this machine is called.
_LOCAL = "local"


@dataclass(slots=True)
class Traffic:
    """What one worker has seen. ``under_way`` are the requests that are being answered (see ObservedSite)."""

    under_way: set[ObservedRequest] = field(default_factory=set)
    pulls: dict[PullKey, Pull] = field(default_factory=dict)
    users: dict[str, float] = field(default_factory=dict)

    def observe(self, record: Record) -> None:
        """Note a request that is over."""
        self._note(record, record.moment + record.seconds, record.client)

    def observe_again(self, record: Record, moment: float, client: str | None) -> None:
        """Note one that was answered before, and came again at ``moment`` from ``client``."""
        self._note(record, moment, client)

    def serving(self, seconds: float) -> Iterator[Serving]:
        """Give the answers that are under way at ``seconds``, by the reactor's clock."""
        for request in list(self.under_way):
            noted, began = request.noted, request.began
            if noted.repository is None or began is None or request.method != b"GET":
                continue
            length = request.responseHeaders.getRawHeaders(b"content-length", [b""])[-1]
            yield Serving(
                noted.user or noted.client or _peer_of(request),
                f"{noted.registry}/{noted.repository}",
                noted.reference or "",
                request.sentLength,
                int(length) if length.isdigit() else None,
                max(0.0, seconds - began),
            )

    def _note(self, record: Record, moment: float, client: str | None) -> None:
        if record.status is None or record.status >= 300 or record.registry is None:
            return
        who = record.user or client or _LOCAL
        if record.user is not None:
            _put(self.users, record.user, moment)
        if record.reference is not None and "/manifests/" in record.target:
            _put(self.pulls, (f"{record.registry}/{record.repository}", record.reference), Pull(who, moment))


def _peer_of(request: ObservedRequest) -> str:
    """Return the address that a request came from, by its connection."""
    return getattr(request.getClientAddress(), "host", None) or _LOCAL


def _put(kept: dict[Key, Value], key: Key, value: Value) -> None:
    # The latest is the last.
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > _MOST:
        del kept[next(iter(kept))]
