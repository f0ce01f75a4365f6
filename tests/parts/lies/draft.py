"""An answer while it is made up: right at first, until somebody bends it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tests.parts.images import OCI_INDEX, sha256

from .asked import Asked
from .goods import Goods

__all__ = ["Draft", "sound"]


@dataclass(slots=True)
class Draft:
    """An answer.

    Arguments:
        asked: what it answers.
        status: with the reason, as it is written in the first line.
        fields: of the header, as they are written, without their ends.
        body: as it is sent, but for chunks.
        length: what Content-Length says; None where there is none.
        chunked: whether the body goes in chunks.
        first: bytes in front of the header.
        chunks: the body as it is sent, in place of ``body`` in chunks.
        closes: whether the connection is closed after it.
    """

    asked: Asked
    status: bytes = b"200 OK"
    fields: list[bytes] = field(default_factory=list)
    body: bytes = b""
    length: bytes | None = None
    chunked: bool = False
    first: bytes = b""
    chunks: bytes | None = None
    closes: bool = False
    version: bytes = b"HTTP/1.1"

    def put(self, name: str, value: str | bytes) -> None:
        """Let the field have this value, and no other."""
        start = name.lower().encode() + b":"
        self.fields = [line for line in self.fields if not line.lower().startswith(start)]
        self.add(name, value)

    def add(self, name: str, value: str | bytes) -> None:
        """Add a line."""
        self.fields.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1")))

    def say(self, body: bytes, media_type: str | None = None) -> None:
        """Let this be the body, and the header say so; its digest, too, if it is a manifest by tag."""
        self.body = body
        self.length = b"%d" % len(body)
        if media_type is not None:
            self.put("Content-Type", media_type)
        if self.asked.kind == "manifests" and not self.asked.reference.startswith("sha256:"):
            self.put("Docker-Content-Digest", sha256(body))

    @property
    def header(self) -> bytes:
        """The header, with its end."""
        lines = [self.version + b" " + self.status, *self.fields]
        if self.chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif self.length is not None:
            lines.append(b"Content-Length: " + self.length)
        if self.closes:
            lines.append(b"Connection: close")
        return self.first + b"\r\n".join([*lines, b"", b""])

    @property
    def sent(self) -> bytes:
        """What follows the header."""
        if self.asked.method == "HEAD":
            return b""
        if not self.chunked:
            return self.body
        if self.chunks is not None:
            return self.chunks
        return b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.body), self.body) if self.body else b"0\r\n\r\n"


def sound(asked: Asked) -> Draft:
    """Return the right answer."""
    draft, goods = Draft(asked), Goods.of(asked.letter, asked.number)
    match asked.kind:
        case "manifests" if asked.reference in goods.manifests:
            media_type, body = goods.manifests[asked.reference]
            draft.say(body, media_type)
            draft.put("Docker-Content-Digest", sha256(body))
        case "blobs" if asked.reference in goods.blobs:
            _blob(draft, goods.blobs[asked.reference])
        case "tags":
            draft.say(_json({"name": f"{asked.letter}{asked.number}/app", "tags": ["latest", "v1"]}), _JSON)
        case "referrers":
            draft.say(_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}), OCI_INDEX)
        case "token":
            draft.say(_json({"token": f"token-{asked.number}", "expires_in": 300}), _JSON)
        case "other":
            draft.say(b"{}", _JSON)
        case _:
            draft.status = b"404 Not Found"
            draft.say(_json({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}), _JSON)
    return draft


_JSON = "application/json"


def _blob(draft: Draft, body: bytes) -> None:
    draft.put("Accept-Ranges", "bytes")
    if draft.asked.range is None:
        draft.say(body, "application/octet-stream")
        return
    first, last = draft.asked.range
    stop = len(body) if last is None else min(last + 1, len(body))
    if first >= stop:
        draft.status = b"416 Range Not Satisfiable"
        draft.put("Content-Range", f"bytes */{len(body)}")
        draft.say(b"")
        return
    draft.status = b"206 Partial Content"
    draft.put("Content-Range", f"bytes {first}-{stop - 1}/{len(body)}")
    draft.say(body[first:stop], "application/octet-stream")


def _json(document: object) -> bytes:
    return json.dumps(document).encode()
