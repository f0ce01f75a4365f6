"""The operator's page: what the daemon does, what it keeps, and what can be done about either, in a browser."""

from .gate import Gate
from .overview import (
    Fill,
    Job,
    Overview,
    Pull,
    Seen,
    Serving,
    Trouble,
    UpstreamState,
    User,
    merged,
)
from .page import OperatorPage, Sources, make_own_site

__all__ = [
    "Fill",
    "Gate",
    "Job",
    "OperatorPage",
    "Overview",
    "Pull",
    "Seen",
    "Serving",
    "Sources",
    "Trouble",
    "UpstreamState",
    "User",
    "make_own_site",
    "merged",
]
