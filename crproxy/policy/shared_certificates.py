"""What nodes of a fleet tell each other of certificates: which one counts, who waits for how long, and who asks alone.

Decides, and asks nobody; time is an argument, in seconds since the epoch unless said otherwise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Set
from dataclasses import dataclass

from ..oci.documents import NotJson, parse_json

__all__ = ["ALONE_AFTER", "Attempt", "Version", "asks_alone", "objection"]

# Seconds that a node waits for Valkey to come back before it asks the CA by itself. A certificate is renewed weeks
# before it ends, and a CA gives out few of the same name: with Let's Encrypt five in a week.
ALONE_AFTER = 3600.0
# Of what another node has told nothing is waited for longer.
_LONGEST_WAIT = 7 * 24 * 3600.0
_LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Which of two certificates for a name is the newer one: the same for all nodes, whatever they saw first.

    Arguments:
        not_before: when it begins to count; a CA's clock only goes on.
        fingerprint: of it; two of the same second have to be told apart somehow.
    """

    not_before: float
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt of some node to get a certificate, which failed.

    Arguments:
        failures: so many in a row.
        until: no node makes another before.
        why: what it failed of.
    """

    failures: int
    until: float
    why: str

    def to_json(self, ahead: float) -> bytes:
        """Return what other nodes are told; ``ahead``: seconds that our clock is ahead of that of all."""
        said = {"failures": self.failures, "until": self.until - ahead, "why": self.why[:_LONGEST_TEXT]}
        return json.dumps(said).encode()

    @classmethod
    def from_json(cls, text: bytes, ahead: float, now: float) -> Attempt | None:
        """Return what another node has told; None where it makes no sense, such as another version's."""
        try:
            said = parse_json(text)
        except NotJson:
            return None
        if not isinstance(said, dict):
            return None
        failures, until, why = said.get("failures"), said.get("until"), said.get("why")
        if not isinstance(failures, int) or isinstance(failures, bool) or not 0 < failures < 10_000:
            return None
        if not isinstance(until, int | float) or isinstance(until, bool) or not isinstance(why, str):
            return None
        try:
            ends = float(until) + ahead
        except OverflowError:
            return None
        if not math.isfinite(ends):
            return None
        return cls(failures, min(ends, now + _LONGEST_WAIT), why[:_LONGEST_TEXT])


def asks_alone(away: float) -> bool:
    """Tell whether a node that needs a certificate asks the CA alone, which it does not know of others to do.

    Arguments:
        away: seconds for which the place where nodes agree was away.
    """
    return away >= ALONE_AFTER


def objection(names: Set[str], not_after: float, name: str, now: float) -> str | None:
    """Return what is against showing a certificate for ``name``; None where nothing is.

    Arguments:
        names: those that it is for, in lower case.
        not_after: when it ends.
    """
    if name not in names:
        return f"it is for {', '.join(sorted(names)) or 'no name'}"
    return "it has ended" if not_after <= now else None
