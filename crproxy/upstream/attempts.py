"""One request to an upstream, as it is told of when its header is there, or when there will be none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from ..oci.names import Registry
from .errors import kind_of

__all__ = ["Attempt", "Told", "tell_nobody"]

_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request, and how it went.

    Arguments:
        registry: for which it was made; a redirect may have led elsewhere.
        seconds: from the request to the header, or to the error.
        trouble: what was wrong, in one word of few; empty where nothing was.
        answered: there was an answer.
        endpoint: the registry's URL, of which there may be several.
    """

    registry: Registry
    seconds: float
    trouble: str = ""
    answered: bool = True
    endpoint: str = ""

    @classmethod
    def of_status(cls, registry: Registry, seconds: float, status: int, endpoint: str = "") -> Self:
        """Return one that was answered."""
        trouble = "quota" if status == _TOO_MANY_REQUESTS else "server" if status >= _SERVER_ERRORS else ""
        return cls(registry, seconds, trouble, endpoint=endpoint)

    @classmethod
    def of_error(cls, registry: Registry, seconds: float, error: BaseException, endpoint: str = "") -> Self:
        """Return one that was not."""
        return cls(registry, seconds, kind_of(error), answered=False, endpoint=endpoint)

    @property
    def is_up(self) -> bool:
        """Whether it shows an upstream that works: one that says no works, too."""
        return self.trouble in ("", "quota")


# Is told of each.
Told = Callable[[Attempt], object]


def tell_nobody(attempt: Attempt) -> None:
    """Tell nobody."""
