"""Lies in a body."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.parts.images import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, sha256

from .draft import Draft
from .goods import Goods

__all__ = ["BODIES"]

_MANIFEST_LIMIT = 4 << 20
_SIZES: tuple[Any, ...] = (
    2**63,
    2**63 - 1,
    2**64,
    2**31,
    -1,
    -(2**63),
    0,
    1.5,
    "5",
    None,
    True,
    10**400,
    [],
    2**53 + 1,
)
_TYPES: tuple[Any, ...] = (
    *("\ud800", "", "text/html", 5, None, [], {}, "a" * 100_000, OCI_INDEX, OCI_CONFIG, "x/y\x00", "\u202e"),
    *("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",),
    *("application/vnd.oci.image.layer.nondistributable.v1.tar",),
)
_LITERALS = (
    b"null",
    b"[]",
    b"{}",
    b"5",
    b'"x"',
    b"NaN",
    b"-Infinity",
    b"",
    b" ",
    b"\xef\xbb\xbf{}",
    b"{",
    b'{"a":}',
    b"tru",
)


def wrong(random: Random, draft: Draft) -> None:
    """As long as it should be, and other bytes."""
    at = random.randrange(len(draft.body) or 1)
    draft.body = draft.body[:at] + random.randbytes(len(draft.body) - at)


def shorter(random: Random, draft: Draft) -> None:
    draft.body = draft.body[: random.randrange(len(draft.body) or 1)]
    draft.closes = random.random() < 0.7


def longer(random: Random, draft: Draft) -> None:
    draft.body += random.choice((b"\n", b"\r\n", b"x" * 9000, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
    if random.random() < 0.3:
        draft.length = None
        draft.closes = True


def without_length(random: Random, draft: Draft) -> None:
    """As long as the connection lasts."""
    draft.length, draft.closes = None, True


def in_chunks(random: Random, draft: Draft) -> None:
    draft.chunked = True


def other(random: Random, draft: Draft) -> None:
    draft.say(
        random.choice((b"", b"<html><script>alert(1)</script>", b"\0" * 9000, random.randbytes(3000), bytes(1 << 20)))
    )


def chunks(random: Random, draft: Draft) -> None:
    body = draft.body
    whole = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    draft.chunked = True
    draft.chunks = random.choice(
        (
            *(b"zz\r\n", b"-1\r\nx\r\n", b"ffffffffffffffff\r\nx", b"7fffffffffffffff\r\nx", b"1" * 5000, b"\r\n\r\n"),
            *(b"0x3\r\nabc\r\n0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"3\nabc\n0\n\n", b" 3\r\nabc\r\n0\r\n\r\n"),
            whole,
            whole + b"0\r\n" + b"X-Trailer: y\r\n" * 5000 + b"\r\n",
            whole + b"0\r\nContent-Length: 5\r\n\r\n",
            whole + b"0\r\n",
            whole + b"0" * 4000 + b"\r\n\r\n",
            b"1;" + b"x" * 60_000 + b"\r\n" + whole,
            b'1;a="\r\n"\r\nx\r\n0\r\n\r\n',
            b"".join(b"1\r\n%c\r\n" % byte for byte in body[:20_000]) + b"0\r\n\r\n",
            b"".join(b"1;x=%d\r\n%c\r\n" % (at, byte) for at, byte in enumerate(body[:5000])) + b"0\r\n\r\n",
        )
    )
    draft.closes = draft.closes or not draft.chunks.endswith(b"0\r\n\r\n")


def document(random: Random, draft: Draft) -> None:
    """Something that is not what was asked for, or very much of it."""
    goods = Goods.of(draft.asked.letter, draft.asked.number)
    match draft.asked.kind:
        case "manifests":
            draft.say(_manifest(random, goods), random.choice((OCI_MANIFEST, OCI_INDEX, OCI_MANIFEST)))
        case "tags":
            draft.say(_tags(random), "application/json")
        case "referrers":
            draft.say(_manifest(random, goods), OCI_INDEX)
        case "token":
            draft.say(_token(random), "application/json")
        case _:
            draft.say(_bomb(random))


def _manifest(random: Random, goods: Goods) -> bytes:
    if random.random() < 0.3:
        return _bomb(random)
    layer = {"mediaType": OCI_LAYER, "digest": goods.layer, "size": len(goods.blobs[goods.layer])}
    config = {**layer, "mediaType": OCI_CONFIG}
    whole: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    match random.randrange(14):
        case 0:
            layer["size"] = random.choice(_SIZES)
        case 1:
            layer["mediaType"] = random.choice(_TYPES)
        case 2:
            whole["mediaType"] = random.choice(_TYPES)
        case 3:
            layer["digest"] = random.choice(
                ("", "sha256:", "x" * 9000, 5, None, "sha256:" + "0" * 64, "../../x", "\ud800")
            )
        case 4:
            layer |= {"urls": ["https://169.254.169.254/", "file:///etc/passwd", 5], "annotations": {"\ud800": 5}}
        case 5:
            whole["layers"] = [layer] * random.choice((0, 2, 128, 5000))
        case 6:
            whole |= {"manifests": [layer, config], "blobs": [layer], "fsLayers": [{"blobSum": goods.layer}]}
        case 7:
            secret = Goods.of("s", 0)
            whole["layers"] = [
                {**layer, "digest": digest, "size": len(body)} for digest, body in secret.content.items()
            ]
            whole["manifests"] = whole["blobs"] = whole["layers"]
        case 8:
            whole["subject"] = random.choice((layer, {**layer, "digest": goods.manifest}, "x", [layer] * 100, None))
        case 9:
            whole["annotations"] = random.choice(
                ({str(at): "x" * 100 for at in range(9000)}, "x", {"a": 5}, {"": "\ud800"})
            )
        case 10:
            whole = {
                "schemaVersion": random.choice((1, 3, "2", None, 10**300)),
                "manifests": [{**layer, "platform": 5}],
            }
        case 11:
            text = json.dumps(whole)
            return (text[:-1] + ',"layers":[],"layers":{},"schemaVersion":1,"config":null}').encode()
        case 12:
            return json.dumps(whole).encode(random.choice(("utf-16", "utf-32", "utf-8-sig")))
        case _:
            whole["manifests"] = [
                {
                    **layer,
                    "mediaType": OCI_MANIFEST,
                    "digest": goods.manifest,
                    "platform": {"os": "\ud800", "architecture": 5},
                }
            ]
    return json.dumps(whole, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _tags(random: Random) -> bytes:
    if random.random() < 0.3:
        return _bomb(random)
    tags: Any = random.choice(
        (
            *(
                None,
                "v1",
                {"v1": 1},
                [1, None, {}],
                ["\ud800"],
                ["../../x", "<b>", ""],
                ["a" * 200_000],
                [],
                [[["v1"]]],
            ),
            *([f"v{at}" for at in range(20_000)], ["v1"] * 9000),
        )
    )
    name = random.choice(("x", 5, None, "n1/app"))
    return json.dumps(random.choice(({"name": name, "tags": tags}, {"tags": tags}, tags, [tags]))).encode()


def _token(random: Random) -> bytes:
    if random.random() < 0.15:
        return _bomb(random)
    token: Any = random.choice(
        (None, 5, "", "x\r\ny: z", "\ud800", "é", "x" * 20_000, "x" * 60_000, [], {"token": "x"}, " ", "ok")
    )
    lifetime: Any = random.choice((0, -1, 1e308, "x", None, [], "1e999", 10**400, True, 60, "60", "nan", 0.001))
    return json.dumps({random.choice(("token", "access_token")): token, "expires_in": lifetime}).encode()


def _bomb(random: Random) -> bytes:
    """JSON that takes much to read, or is none. The large ones are rare, since they are most of what a run costs."""
    if random.random() < 0.08:
        return _large(random.randrange(len(_LARGE)))
    return random.choice(
        (
            *(b"[" * 100_000, b"[" * 900 + b"]" * 900, b'{"a":' * 50_000, b"9" * 5000, b"[" + b"9" * 200_000 + b"]"),
            *(
                b'{"a":1,' * 5000,
                b'"' + b"\\" * 9001,
                b'"\\ud800"',
                b"[1e999999999]",
                b"{" + b'"a":1,' * 9000 + b'"a":1}',
            ),
            *_LITERALS,
        )
    )


def _references() -> bytes:
    """As many as 4 MiB hold, and 10,000 that are written in full."""
    layers = [
        {"mediaType": OCI_LAYER, "digest": sha256(b"%d" % number), "size": number, "annotations": {"n": "x" * 60}}
        for number in range(10_000)
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": layers[0], "layers": layers}).encode()


_LARGE: tuple[Callable[[], bytes], ...] = (
    _references,
    lambda: b"[" + b"[]," * (_MANIFEST_LIMIT // 3 - 2) + b"[]]",
    lambda: b'{"layers":[' + b"{}," * (_MANIFEST_LIMIT // 3 - 10) + b"{}]}",
    lambda: b"{" + b",".join(b'"%x":%d' % (number, number) for number in range(200_000)) + b"}",
    lambda: json.dumps({"name": "x", "tags": [f"v{number}" for number in range(300_000)]}).encode(),
    lambda: b'{"schemaVersion":2,"x":"' + b"a" * (_MANIFEST_LIMIT - 26) + b'"}',
    lambda: b'{"schemaVersion":2,"x":"' + b"a" * _MANIFEST_LIMIT + b'"}',
    lambda: b"[" + b"1," * (_MANIFEST_LIMIT // 2 - 2) + b"1]",
    lambda: b'"' + b"\\u0041" * (_MANIFEST_LIMIT // 6 - 2) + b'"',
    lambda: b"[" + b"1.5e3," * (_MANIFEST_LIMIT // 6 - 2) + b"1]",
)


@functools.cache
def _large(which: int) -> bytes:
    return _LARGE[which]()


BODIES: tuple[Callable[[Random, Draft], None], ...] = (
    *(wrong, wrong, shorter, shorter, longer, without_length, in_chunks, other, chunks, chunks, chunks),
    *(document, document, document, document, document, document),
)
