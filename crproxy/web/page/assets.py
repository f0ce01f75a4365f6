"""The files beside the page: its looks, its script, its mark. Each is named for its content, and never changes."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import PurePath

from twisted.web.server import Request

from ..branch import Branch

__all__ = ["PATH", "Assets"]

PATH = "assets"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# A year: RFC 8246.
_FOREVER = "public, max-age=31536000, immutable"


class Assets(Branch):
    """``/assets/NAME.HASH.TYPE``."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, str] = {}
        for file in sorted((files(__package__) / "static").iterdir(), key=lambda file: file.name):
            path, content = PurePath(file.name), file.read_bytes()
            if path.suffix in _TYPES:
                name = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"
                self._names[file.name] = name
                self.putChild(name.encode("ascii"), _Asset(content, _TYPES[path.suffix]))

    def url(self, name: str) -> str:
        """Return the path at which the file ``name`` is now."""
        return f"/{PATH}/{self._names[name]}"


class _Asset(Branch):
    def __init__(self, content: bytes, media_type: str) -> None:
        super().__init__()
        self._content = content
        self._type = media_type

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", self._type)
        request.setHeader("Cache-Control", _FOREVER)
        request.setHeader("X-Content-Type-Options", "nosniff")
        return self._content
