"""A CA in memory: it looks at every signed request as a CA does, and answers what a test tells it.

Signatures are verified by hand, not by what made them.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.memory import Network, Seen, answer

__all__ = ["ORIGIN", "FakeCa", "Post", "Reply", "problem", "public_key", "unpadded"]

ORIGIN = "https://ca.example"
PREFIX = "urn:ietf:params:acme:error:"

DIRECTORY: dict[str, Any] = {
    "newNonce": f"{ORIGIN}/nonce",
    "newAccount": f"{ORIGIN}/account",
    "newOrder": f"{ORIGIN}/order",
    "revokeCert": f"{ORIGIN}/revoke",
    "keyChange": f"{ORIGIN}/key",
}


def unpadded(text: str) -> bytes:
    """What `text` says in base64url, which has no padding."""
    assert "=" not in text
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)


def public_key(jwk: dict[str, str]) -> ec.EllipticCurvePublicKey:
    """The key in a JWK, which must be one of P-256 and nothing but public."""
    assert (jwk["kty"], jwk["crv"], set(jwk)) == ("EC", "P-256", {"kty", "crv", "x", "y"})
    x, y = (int.from_bytes(unpadded(jwk[name]), "big") for name in "xy")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


@dataclass(frozen=True)
class Reply:
    """What the CA answers to one request; a document is sent as JSON."""

    document: object = None
    status: int = 200
    lines: tuple[str, ...] = ()
    body: bytes = b""
    media_type: str = "application/json"
    length: int | None = -1

    def bytes(self, *more: str) -> bytes:
        body = self.body if self.document is None else json.dumps(self.document).encode()
        return answer(self.status, body, f"Content-Type: {self.media_type}", *self.lines, *more, length=self.length)


def problem(kind: str, status: int = 403, *lines: str, detail: str = "it says no", **more: object) -> Reply:
    """A refusal (RFC 8555, 6.7)."""
    document = {"type": PREFIX + kind, "detail": detail, **more}
    return Reply(document, status, lines, media_type="application/problem+json")


@dataclass(frozen=True)
class Post:
    """A signed request, verified and opened; the payload of a POST-as-GET is None."""

    path: str
    header: dict[str, Any]
    payload: Any


class FakeCa:
    """Serves `https://ca.example` on a network."""

    def __init__(self, network: Network) -> None:
        self.posts: list[Post] = []
        self.nonces_to_reject = 0
        self.network = network
        self._key: ec.EllipticCurvePublicKey | None = None
        self._nonces: set[str] = set()
        self._count = 0
        self._scripts: dict[str, list[Reply | None]] = {"/dir": [Reply(DIRECTORY)]}
        network.serve(ORIGIN, self._answer)

    def script(self, path: str, *replies: Reply | None) -> None:
        """Answer requests for `path` with each of `replies` in turn, and with the last from then on; None waits."""
        self._scripts[path] = list(replies)

    def offer(self, **more: object) -> None:
        """Serve a directory with these members, too."""
        self.script("/dir", Reply({**DIRECTORY, **more}))

    def forget_nonces(self) -> None:
        self._nonces.clear()

    @property
    def asked(self) -> list[str]:
        """What it was asked for: method and path of each request."""
        return [f"{seen.method} {seen.target}" for seen in self.network.seen]

    def payloads(self, path: str) -> list[Any]:
        return [post.payload for post in self.posts if post.path == path]

    def _answer(self, seen: Seen) -> bytes | None:
        assert (seen.one("User-Agent") or "").startswith("crproxy/")
        if seen.method == "POST":
            return self._answer_signed(seen)
        if seen.method == "HEAD":
            assert seen.target == "/nonce"
            return answer(200, b"", self._new_nonce())
        reply = self._next(seen.target)
        return None if reply is None else reply.bytes()

    def _answer_signed(self, seen: Seen) -> bytes | None:
        post = self._open(seen)
        nonce = post.header["nonce"]
        if nonce not in self._nonces or self.nonces_to_reject > 0:
            self.nonces_to_reject -= 1
            return problem("badNonce", 400).bytes(self._new_nonce())
        self._nonces.remove(nonce)
        self.posts.append(post)
        reply = self._next(seen.target)
        return None if reply is None else reply.bytes(self._new_nonce())

    def _open(self, seen: Seen) -> Post:
        assert seen.one("Content-Type") == "application/jose+json"
        jws = json.loads(seen.body)
        assert set(jws) == {"protected", "payload", "signature"}
        header = json.loads(unpadded(jws["protected"]))
        assert header["alg"] == "ES256"
        assert header["url"] == seen.url
        assert ("jwk" in header) != ("kid" in header)
        if "jwk" in header:
            self._key = public_key(header["jwk"])
        else:
            assert header["kid"] == f"{ORIGIN}/account/1"
        self._verify(unpadded(jws["signature"]), f"{jws['protected']}.{jws['payload']}".encode())
        payload = unpadded(jws["payload"])
        return Post(seen.target, header, json.loads(payload) if payload else None)

    def _verify(self, signature: bytes, signed: bytes) -> None:
        assert self._key is not None
        assert len(signature) == 64
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        self._key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))

    def _new_nonce(self) -> str:
        self._count += 1
        nonce = f"nonce-{self._count:06}"
        self._nonces.add(nonce)
        return f"Replay-Nonce: {nonce}"

    def _next(self, path: str) -> Reply | None:
        replies = self._scripts[path]
        return replies.pop(0) if len(replies) > 1 else replies[0]
