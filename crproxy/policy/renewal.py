"""When a certificate is renewed, and when a failed attempt is made again. Time is an argument."""

from __future__ import annotations

__all__ = ["renew_at", "wait_after", "wait_for_ca"]

# Let's Encrypt allows five failed validations of a name in an hour: these are four, and few afterwards.
_WAITS = (120.0, 600.0, 1800.0, 3600.0, 2 * 3600.0, 4 * 3600.0, 6 * 3600.0)
# A CA that is away may be back soon, and asking it costs no quota.
_CA_WAITS = (30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0)


def renew_at(not_before: float, not_after: float) -> float:
    """Return when a certificate is renewed: at the last third of its life, however long that is.

    Lifetimes shrink: 90 days now, 45 soon, 6 for those that want it.
    """
    return not_after - (not_after - not_before) / 3


def wait_after(failures: int) -> float:
    """Return the seconds to wait after so many failures of one name in a row, from 1 up."""
    return _WAITS[min(failures, len(_WAITS)) - 1]


def wait_for_ca(failures: int) -> float:
    """Return the seconds to wait, for all names, after the CA was not to be had so many times in a row, from 1 up."""
    return _CA_WAITS[min(failures, len(_CA_WAITS)) - 1]
