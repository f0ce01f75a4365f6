"""Is this machine's clock right? By what others say the time is, when they answer."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from twisted.web.iweb import IResponse

from ...policy.units import format_duration
from ...upstream.fields import field_of
from .findings import Area, Finding, failed, fine, skipped, warning
from .http_probe import moment

__all__ = ["ClockReading", "check_clock"]

# Seconds. A Date has whole ones, and an answer takes some; from 5 minutes on tokens and certificates are refused.
_NOTICED, _TOO_MUCH = 30.0, 300.0
_ADVICE = "Set this machine's clock, and let it be kept right: timedatectl set-ntp true"


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Somebody else's clock.

    Arguments:
        whose: it is.
        behind: seconds that ours is behind it; negative where it is ahead.
    """

    whose: str
    behind: float

    @classmethod
    def of(cls, whose: str, response: IResponse, now: float) -> ClockReading | None:
        """Return what an answer that came ``now`` (seconds since the epoch) says of the time; None for nothing."""
        date = moment(field_of(response, b"date") or "")
        # What a cache on the way has kept has the Date of then (RFC 9111, 5.1).
        return None if date is None or response.headers.hasHeader("age") else cls(whose, date - now)


def check_clock(readings: Iterable[ClockReading | None]) -> list[Finding]:
    """Return by how much this machine's clock is wrong, as most see it: one of them may be wrong itself."""
    seen = [reading for reading in readings if reading is not None]
    if not seen:
        return [skipped(Area.CLOCK, "this machine", "nobody answered who could tell the time")]
    behind = statistics.median_low(reading.behind for reading in seen)
    nearest = min(seen, key=lambda reading: abs(reading.behind - behind))
    said = f"is {format_duration(abs(behind))} {'behind' if behind > 0 else 'ahead'}, by {nearest.whose}"
    if abs(behind) >= _TOO_MUCH:
        return [failed(Area.CLOCK, "this machine", f"{said}: certificates and tokens are misjudged", _ADVICE)]
    if abs(behind) >= _NOTICED:
        return [warning(Area.CLOCK, "this machine", said, _ADVICE)]
    return [fine(Area.CLOCK, "this machine", f"agrees with {len(seen)} others to {max(1.0, abs(behind)):.0f} s")]
