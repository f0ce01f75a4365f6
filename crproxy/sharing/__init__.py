"""What the workers of one daemon have in common, whether there is one of them or many."""

from .alone import Alone
from .counts import Counts
from .sharing import REPLACED, SECRET_BYTES, Answer, Claims, Count, Level, Levels, Records, Sharing

__all__ = [
    "REPLACED",
    "SECRET_BYTES",
    "Alone",
    "Answer",
    "Claims",
    "Count",
    "Counts",
    "Level",
    "Levels",
    "Records",
    "Sharing",
]
