"""``/ca`` on the admin socket: the CA of the HTTP proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.web.server import Request

from ..web.branch import Branch
from .documents import Mistake, answer_later, json_body

__all__ = ["AuthorityResource", "Trusted"]


@dataclass(frozen=True, slots=True)
class Trusted:
    """A CA that clients are to trust.

    Arguments:
        pem: its certificate.
        fingerprint: the SHA-256 of that.
        names: that it may sign for.
        not_before, not_after: when it counts, in seconds since the epoch.
    """

    pem: str
    fingerprint: str
    names: tuple[str, ...]
    not_before: float
    not_after: float

    def document(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {
            "fingerprint": self.fingerprint,
            "names": list(self.names),
            "not_before": self.not_before,
            "not_after": self.not_after,
            "certificate": self.pem,
        }


class Authorities(Protocol):
    """Those of the daemon."""

    def trusted(self) -> list[Trusted]:
        """Return those that clients are to trust, the oldest first."""

    async def renew(self, *, at_once: bool) -> Trusted:
        """Make another one, and remove those before it if ``at_once``.

        Raises:
            RegistryError: it is to be the fleet's, and cannot be now.
            OSError: it cannot be written.
        """


class AuthorityResource(Branch):
    """``GET /ca``: those that count; ``POST /ca``: another one, in place of the others with ``at_once``.

    Arguments:
        authorities: returns those of the daemon; None where there is no proxy.
    """

    isLeaf = True

    def __init__(self, authorities: Callable[[], Authorities | None]) -> None:
        super().__init__()
        self._authorities = authorities

    def render_GET(self, request: Request) -> int:
        """Answer with those that count."""
        return answer_later(request, self._all())

    def render_POST(self, request: Request) -> int:
        """Make another one."""
        return answer_later(request, self._renewed(request))

    async def _all(self) -> dict[str, Any]:
        return {"authorities": [one.document() for one in self._known().trusted()]}

    async def _renewed(self, request: Request) -> dict[str, Any]:
        at_once = json_body(request).get("at_once", False)
        if not isinstance(at_once, bool):
            raise Mistake("at_once is true or false")
        try:
            return (await self._known().renew(at_once=at_once)).document()
        except OSError as error:
            raise Mistake(f"it cannot be written: {error}", 500) from None

    def _known(self) -> Authorities:
        known = self._authorities()
        if known is None:
            raise Mistake("this daemon is no HTTP proxy: set listen under [proxy], and restart", 409)
        return known
