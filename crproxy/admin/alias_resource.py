"""``/aliases`` on the admin socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.resource import IResource
from twisted.web.server import Request

from ..oci.names import Registry
from ..web.branch import Branch
from ..web.error_pages import NotFound
from .alias_file import AliasChange
from .documents import Mistake, answer_later, error_answer, json_answer

__all__ = ["Aliases", "SetAlias"]

# Adds an alias, or with "" takes one away.
SetAlias = Callable[[str, str], Deferred[AliasChange]]
# A registry's name is short.
_LONGEST_NAME = 1024


class Aliases(Branch):
    """``GET /aliases``; ``PUT /aliases/LABEL`` with the registry as its body; ``DELETE /aliases/LABEL``.

    Arguments:
        aliases: returns the host names and what they stand for.
        set_alias: adds one, or takes one away; raises ConfigError.
    """

    def __init__(self, aliases: Callable[[], Mapping[str, Registry]], set_alias: SetAlias) -> None:
        super().__init__()
        self._aliases = aliases
        self._set_alias = set_alias

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Return one alias (IResource)."""
        return _Alias(path.decode("utf-8", "replace"), self._set_alias) if path else self

    def render_GET(self, request: Request) -> bytes:
        """Answer with all."""
        return json_answer(request, 200, {host: str(registry) for host, registry in sorted(self._aliases().items())})


class _Alias(Branch):
    isLeaf = True

    def __init__(self, label: str, set_alias: SetAlias) -> None:
        super().__init__()
        self._label = label
        self._set_alias = set_alias

    def render_PUT(self, request: Request) -> bytes | int:
        body = b"" if request.content is None else request.content.read(_LONGEST_NAME)
        registry = body.decode("utf-8", "replace").strip()
        if not registry:
            return error_answer(request, Mistake("the body is the registry that the alias stands for"))
        return self._change(request, registry)

    def render_DELETE(self, request: Request) -> bytes | int:
        return self._change(request, "")

    def _change(self, request: Request, registry: str) -> bytes | int:
        if request.postpath:
            return NotFound().render(request)
        return answer_later(request, self._changed(registry))

    async def _changed(self, registry: str) -> dict[str, Any]:
        return (await self._set_alias(self._label, registry)).document()
