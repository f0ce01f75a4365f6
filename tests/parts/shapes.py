"""The shapes that registries' answers have: manifests, blobs, errors, challenges, tokens, pages of tags."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from .answers import Answer, Cut, Filler, Request, Script, Stall
from .images import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["at_rate", "challenge", "content", "error", "manifest", "ranged", "redirect", "tag_pages", "token"]

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def manifest(body: bytes, media_type: str, *headers: tuple[str, str]) -> Answer:
    """Answer as registries do when asked for a manifest."""
    return Answer(headers=(("Content-Type", media_type), ("Docker-Content-Digest", sha256(body)), *headers), body=body)


def content(body: bytes | Filler, *headers: tuple[str, str], fault: Cut | Stall | None = None) -> Answer:
    """Answer as registries do when asked for a blob."""
    return Answer(headers=(("Content-Type", "application/octet-stream"), *headers), body=body, fault=fault)


def at_rate(script: Script, rate: int) -> Script:
    """Answer the same, at so many bytes in a second."""

    def answer(request: Request) -> Answer:
        return replace(script if isinstance(script, Answer) else script(request), rate=rate)

    return answer


def ranged(body: bytes | Filler, *faults: Cut | Stall | None, faulty: bool = False) -> Script:
    """Answer as registries do that know Range: 206 and Content-Range, or 416.

    Arguments:
        faults: what goes wrong with each GET in turn, at that byte of the whole; one that lies before the range
            is left out. Then nothing does,
        faulty: or the last of them does from then on.
    """
    left = list(faults)

    def next_fault() -> Cut | Stall | None:
        if not left:
            return None
        return left[0] if faulty and len(left) == 1 else left.pop(0)

    def answer(request: Request) -> Answer:
        part = _part(request, len(body))
        if part is None:
            return Answer(416, (("Content-Range", f"bytes */{len(body)}"),))
        start, stop = part
        fault = next_fault() if request.method == "GET" else None
        if fault is not None and fault.at is not None:
            fault = replace(fault, at=fault.at - start) if start <= fault.at <= stop else None
        inside = body.part(start, stop) if isinstance(body, Filler) else body[start:stop]
        whole = content(inside, ("Accept-Ranges", "bytes"), fault=fault)
        if not request.values("Range"):
            return whole
        content_range = ("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")
        return replace(whole, status=206, headers=(*whole.headers, content_range))

    return answer


def _part(request: Request, size: int) -> tuple[int, int] | None:
    """The bytes that a request asks for, from the first up to the second; None where there are none."""
    for value in request.values("Range"):
        match = _RANGE.fullmatch(value)
        assert match is not None, f"the proxy asked for {value}"
        start, stop = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        return (start, stop) if start < stop else None
    return (0, size)


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
