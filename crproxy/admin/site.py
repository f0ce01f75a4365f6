"""The operator's own door: aliases and certificates, over HTTP on a socket of the daemon's.

JSON in and out. Who may connect is a matter of the socket's mode; there is no other check here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, cast

from twisted.internet.interfaces import IReactorTime
from twisted.web.pages import notFound
from twisted.web.resource import IResource
from twisted.web.server import Request

from ..config import ConfigError
from ..oci.names import Registry
from ..tls.plan import NameState
from ..web.branch import Branch
from ..web.site import PlainSite

__all__ = ["make_admin_site"]

# Adds an alias, or with "" takes one away.
SetAlias = Callable[[str, str], None]
# A registry's name is short.
_LONGEST_NAME = 1024


def make_admin_site(
    aliases: Callable[[], Mapping[str, Registry]],
    set_alias: SetAlias,
    states: Callable[[], list[NameState]],
    reactor: IReactorTime,
) -> PlainSite:
    """Return the site of the admin socket.

    Arguments:
        aliases: returns the host names and what they stand for.
        set_alias: adds one, or takes one away; raises ConfigError.
        states: returns how it stands with each certificate.
    """
    root = Branch()
    root.putChild(b"aliases", _Aliases(aliases, set_alias))
    root.putChild(b"certificates", _Certificates(states))
    site = PlainSite(root, reactor=reactor)
    site.displayTracebacks = False
    return site


class _Aliases(Branch):
    """``GET /aliases``; ``PUT /aliases/LABEL`` with the registry as its body; ``DELETE /aliases/LABEL``."""

    def __init__(self, aliases: Callable[[], Mapping[str, Registry]], set_alias: SetAlias) -> None:
        super().__init__()
        self._aliases = aliases
        self._set_alias = set_alias

    def getChild(self, path: bytes, request: Request) -> IResource:
        return _Alias(path.decode("utf-8", "replace"), self._set_alias) if path else self

    def render_GET(self, request: Request) -> bytes:
        return _json(request, 200, {host: str(registry) for host, registry in sorted(self._aliases().items())})


class _Alias(Branch):
    isLeaf = True

    def __init__(self, label: str, set_alias: SetAlias) -> None:
        super().__init__()
        self._label = label
        self._set_alias = set_alias

    def render_PUT(self, request: Request) -> bytes:
        body = b"" if request.content is None else request.content.read(_LONGEST_NAME)
        registry = body.decode("utf-8", "replace").strip()
        if not registry:
            return _json(request, 400, {"error": "the body is the registry that the alias stands for"})
        return self._change(request, registry)

    def render_DELETE(self, request: Request) -> bytes:
        return self._change(request, "")

    def _change(self, request: Request, registry: str) -> bytes:
        if request.postpath:
            return cast(bytes, notFound().render(request))
        try:
            self._set_alias(self._label, registry)
        except ConfigError as error:
            return _json(request, 400, {"error": str(error)})
        return _json(request, 200, {"alias": self._label, "registry": registry or None})


class _Certificates(Branch):
    """``GET /certificates``."""

    isLeaf = True

    def __init__(self, states: Callable[[], list[NameState]]) -> None:
        super().__init__()
        self._states = states

    def render_GET(self, request: Request) -> bytes:
        return _json(request, 200, [{**asdict(state), "state": state.state.value} for state in self._states()])


def _json(request: Request, status: int, document: Any) -> bytes:
    request.setResponseCode(status)
    request.setHeader("Content-Type", "application/json")
    return json.dumps(document, indent=2).encode() + b"\n"
