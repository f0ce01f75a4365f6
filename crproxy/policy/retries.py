"""When a request that failed is made again.

Only before any byte of an answer has gone to the client, and only GET and HEAD, which are safe to repeat (RFC 9110,
9.2.2).
"""

from __future__ import annotations

__all__ = ["RETRY_STATUSES", "wait_before_retry"]

# What a balancer says while one of its servers is away, and such a server itself. 501 would be the same the next time.
RETRY_STATUSES = frozenset({500, 502, 503, 504})

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0


def wait_before_retry(attempt: int, retries: int) -> float | None:
    """Return the seconds to wait after the failed ``attempt`` (the first is 1), or None to give up.

    Arguments:
        retries: how many attempts may follow the first.
    """
    if attempt > retries:
        return None
    return min(_FIRST_WAIT * 2.0 ** min(attempt - 1, 16), _LONGEST_WAIT)
