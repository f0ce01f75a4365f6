"""What has to be known before somebody is given bytes that are here, or elsewhere in our own hands."""

from __future__ import annotations

import enum

__all__ = ["Proof"]


class Proof(enum.Enum):
    """What it takes; the table is in docs/decisions/0004-private-content.md."""

    # Nothing more: upstream gave them for this repository, or for one that every client may pull from.
    GIVEN = enum.auto()
    # The registry's word: it has had these bytes before, so that it does not merely repeat what it was asked.
    WORD = enum.auto()
    # The bytes themselves.
    BYTES = enum.auto()
