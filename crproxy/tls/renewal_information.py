"""When the CA is next asked when it wants a certificate renewed. Time is an argument, in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["RenewalInformation"]

# Where the CA says nothing: it may begin to.
_USUAL_INTERVAL = 24 * 3600.0


@dataclass(slots=True)
class RenewalInformation:
    """What was asked for which name, and until when that is enough."""

    _until: dict[str, float] = field(default_factory=dict)

    def due(self, names: Iterable[str], now: float) -> list[str]:
        """Return those of ``names`` that are to be asked about."""
        return [name for name in names if self._until.get(name, 0.0) <= now]

    def asked(self, name: str, now: float, ask_again: float | None) -> None:
        """Note that the CA was asked, and after how many seconds it wants to be again; None where it did not say."""
        self._until[name] = now + (_USUAL_INTERVAL if ask_again is None else ask_again)
