"""Whose turn it is to ask the CA for certificates: as whoever asks it sees that."""

from __future__ import annotations

from typing import Protocol

from ..policy.shared_certificates import Attempt

__all__ = ["Always", "NotOurTurn", "Turn"]


class NotOurTurn(Exception):
    """The CA is not asked now: what another name was told counts for this one, or another node asks it."""


class Turn(Protocol):
    """Whether it is ours; who says so is told what came of it."""

    @property
    def is_ours(self) -> bool:
        """Whether the CA may be asked now."""
        ...

    async def is_told(self) -> None:
        """Return once an answer that was just put down for the CA is found wherever the CA looks."""
        ...

    def issued(self, name: str) -> None:
        """Note that ``name`` has got a certificate."""
        ...

    def failed(self, name: str | None, attempt: Attempt) -> None:
        """Note an attempt that failed, because of ``name``; of None: because of the CA."""
        ...


class Always:
    """It is ours, always: there are no others (Turn)."""

    is_ours = True

    async def is_told(self) -> None:
        """Return at once (Turn)."""

    def issued(self, name: str) -> None:
        """Do nothing (Turn)."""

    def failed(self, name: str | None, attempt: Attempt) -> None:
        """Do nothing (Turn)."""
