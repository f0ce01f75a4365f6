"""A worker that has no others: everything is its own, and costs what a dictionary does."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed

from .bounding import drop_oldest
from .counts import Counts
from .levels import OwnLevels
from .sharing import SECRET_BYTES, Answer

__all__ = ["Alone", "OwnRecords"]


class OwnRecords:
    """Records of one worker (crproxy.sharing.Records)."""

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}

    def get(self, key: Any) -> Any:
        """Return the value (Records)."""
        return self._values.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Have ``value`` be the one (Records)."""
        self._values[key] = value
        drop_oldest(self._values)

    def drop(self, key: Any) -> None:
        """Have none (Records)."""
        self._values.pop(key, None)

    def all(self) -> dict[Any, Any]:
        """Return all that there are (Records)."""
        return dict(self._values)


class OwnClaims:
    """Claims that nobody else makes (crproxy.sharing.Claims)."""

    def take(self, name: str) -> Deferred[bool]:
        """Return at once (Claims)."""
        return succeed(False)

    def give_back(self, name: str) -> None:
        """Do nothing (Claims)."""


class Alone:
    """One worker (crproxy.sharing.Sharing)."""

    directory: Path | None = None
    slot = 0
    leads = True
    is_alone = True

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(SECRET_BYTES)
        self._answers: dict[str, Answer] = {}

    def count(self, what: str) -> Counts:
        """Return numbers (Sharing)."""
        return Counts()

    def levels(self, what: str) -> OwnLevels:
        """Return levels (Sharing)."""
        return OwnLevels()

    def records(self, what: str) -> OwnRecords:
        """Return records (Sharing)."""
        return OwnRecords()

    def claims(self, what: str) -> OwnClaims:
        """Return claims (Sharing)."""
        return OwnClaims()

    def on(self, topic: str, answer: Answer) -> None:
        """Note who answers (Sharing)."""
        self._answers[topic] = answer

    def tell(self, topic: str, payload: Any = None) -> None:
        """Tell nobody (Sharing)."""

    def ask_all(self, topic: str, payload: Any = None) -> Deferred[list[Any]]:
        """Return nobody's answers (Sharing)."""
        return succeed([])

    def ask_leader(self, topic: str, payload: Any = None) -> Deferred[Any]:
        """Return our own answer (Sharing)."""
        return maybeDeferred(lambda: self._answers[topic](payload))
