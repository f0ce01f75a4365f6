"""``GET /healthz`` and ``GET /readyz``: does the daemon live, and shall it be sent clients?

The first is answered by a reactor that runs. The second has a line for each thing that was looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from twisted.web.resource import IResource
from twisted.web.server import Request

from .. import __version__
from ..policy.findings import Finding
from ..web.branch import Branch

__all__ = ["Health", "make_health"]


Look = Callable[[], Iterable[Finding]]


class Health(Branch):
    """Answers 200, or 503 while anything is wrong that clients would notice.

    Arguments:
        look: returns what is found now.
    """

    isLeaf = True

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look

    def render_GET(self, request: Request) -> bytes:
        """Answer (IResource)."""
        findings = list(self._look())
        well = all(not finding.trouble or finding.bears_it for finding in findings)
        request.setResponseCode(200 if well else 503)
        request.setHeader("Server", f"crproxy/{__version__}")
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        return "".join(f"{finding}\n" for finding in findings).encode()


def make_health(ready: Look) -> Mapping[str, IResource]:
    """Return both, by their names below a site's root.

    Arguments:
        ready: looks whether clients can be served.
    """
    return {"healthz": Health(lambda: [Finding("crproxy")]), "readyz": Health(ready)}
