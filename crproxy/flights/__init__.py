"""One fetch, many readers: the transfer of one blob from upstream into the store, followed by whoever wants it.

A flight does not belong to the request that began it: it goes on when that one leaves. Across processes, the lock on
the partial file says whose flight fetches; the others follow the growing file, and take over where the lock falls free.
"""

from .dependencies import Dependencies
from .flight import Flight
from .flights import Flights
from .reader import Reader
from .shared import Shared
from .told import Told
from .window import NotKept

__all__ = ["Dependencies", "Flight", "Flights", "NotKept", "Reader", "Shared", "Told"]
