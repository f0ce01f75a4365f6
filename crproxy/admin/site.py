"""The admin API: HTTP on a socket of the daemon's, and what is where below its root.

JSON in and out. Who may connect is a matter of the socket's mode; there is no other check here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import Request

from .. import __version__
from ..oci.names import Registry
from ..tls.plan import NameState
from ..web.branch import Branch
from ..web.request import Observe
from ..web.site import PlainSite
from .alias_resource import Aliases, SetAlias
from .documents import answer_later, json_answer

__all__ = ["States", "make_admin_site"]

# Returns how it stands with each certificate.
States = Callable[[], Awaitable[list[NameState]]]


def make_admin_site(
    aliases: Callable[[], Mapping[str, Registry]],
    set_alias: SetAlias,
    states: States,
    reactor: IReactorTime,
    observe: Observe | None = None,
    resources: Mapping[str, IResource] | None = None,
) -> PlainSite:
    """Return the site of the admin socket.

    Arguments:
        aliases: returns the host names and what they stand for.
        set_alias: adds one, or takes one away; raises ConfigError.
        states: returns how it stands with each certificate.
        observe: is told of each request that is over.
        resources: what else there is, by its name below the root.
    """
    root = Branch()
    root.putChild(b"aliases", Aliases(aliases, set_alias))
    root.putChild(b"certificates", _Certificates(states))
    root.putChild(b"version", _Version())
    for name, resource in (resources or {}).items():
        root.putChild(name.encode(), resource)
    return PlainSite.make(root, "admin", reactor, observe)


class _Version(Branch):
    """``GET /version``."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return json_answer(request, 200, {"version": __version__})


class _Certificates(Branch):
    """``GET /certificates``."""

    isLeaf = True

    def __init__(self, states: States) -> None:
        super().__init__()
        self._states = states

    def render_GET(self, request: Request) -> int:
        return answer_later(request, self._documents())

    async def _documents(self) -> list[dict[str, Any]]:
        return [{**asdict(state), "state": state.state.value} for state in await self._states()]
