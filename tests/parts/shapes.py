"""The shapes that registries' answers have: manifests, blobs, errors, challenges, tokens, pages of tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from .answers import Answer, Cut, Filler, Request, Script, Stall
from .images import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["challenge", "content", "error", "manifest", "redirect", "tag_pages", "token"]


def manifest(body: bytes, media_type: str, *headers: tuple[str, str]) -> Answer:
    """Answer as registries do when asked for a manifest."""
    return Answer(headers=(("Content-Type", media_type), ("Docker-Content-Digest", sha256(body)), *headers), body=body)


def content(body: bytes | Filler, *headers: tuple[str, str], fault: Cut | Stall | None = None) -> Answer:
    """Answer as registries do when asked for a blob."""
    return Answer(headers=(("Content-Type", "application/octet-stream"), *headers), body=body, fault=fault)


def error(status: int, code: str, message: str = "scripted", *headers: tuple[str, str]) -> Answer:
    """Answer with the distribution specification's error body."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
    return Answer(status, (("Content-Type", "application/json"), *headers), body)


def redirect(location: str, status: int = 307) -> Answer:
    """Send the client elsewhere."""
    return Answer(status, (("Location", location),))


def challenge(realm: str, service: str, scope: str) -> Answer:
    """Ask for a bearer token (RFC 6750, 3)."""
    value = f'Bearer realm="{realm}",service="{service}",scope="{scope}"'
    return error(401, "UNAUTHORIZED", "authentication required", ("WWW-Authenticate", value))


def token(value: str, **more: object) -> Answer:
    """Answer as a token server does."""
    return Answer(headers=(("Content-Type", "application/json"),), body=json.dumps({"token": value, **more}).encode())


def tag_pages(repository: str, tags: Sequence[str], *, limit: int = 100, base: str = "") -> Script:
    """Answer with at most ``limit`` tags at a time and a Link to the next page, absolute where ``base`` says so."""

    def answer(request: Request) -> Answer:
        last = _one(request.query, "last", "")
        count = min(limit, int(_one(request.query, "n", str(limit))))
        left = [tag for tag in sorted(tags) if tag > last]
        page = left[:count]
        headers: list[tuple[str, str]] = [("Content-Type", "application/json")]
        if len(left) > count:
            target = f"{base}/v2/{repository}/tags/list?last={quote(page[-1])}&n={count}"
            headers.append(("Link", f'<{target}>; rel="next"'))
        return Answer(headers=tuple(headers), body=json.dumps({"name": repository, "tags": page}).encode())

    return answer


def _one(query: Mapping[str, list[str]], name: str, default: str) -> str:
    return query.get(name, [default])[0]
