"""Lies in a header."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from random import Random

from tests.parts.images import sha256

from .draft import Draft

__all__ = ["HEADS", "MARK"]

# In the fields that are nobody's business but upstream's: a client never sees it in a header.
MARK = "mark-of-upstream"

_LONG = 60_000
_COMPRESSED = {"gzip": gzip.compress(bytes(1 << 20)), "deflate": zlib.compress(bytes(1 << 20))}


def link(random: Random, draft: Draft) -> None:
    size = random.choice((10, 300, 3000, 12_000))
    name = draft.asked.target.partition("?")[0]
    draft.put(
        "Link",
        random.choice(
            (
                "<>;" * size + 'rel="' + " next" * size + "!",
                "<a>; rel=" + '"' * size,
                "<" * size + ">" * size,
                f'<{name}?last=v1>; rel="next"',
                ", ".join([f'<{name}?last={size}>; rel="prev"'] * (size // 10) + [f'<{name}?n=1>; rel="next"']),
                "<" + "a" * size + '>; rel="next"',
                '<//169.254.169.254/x>; rel="next"',
                '<javascript:alert(1)>; rel="next"',
                "</v2/../../x?last=%00%0d%0aSet-Cookie:%20x>; rel=next",
                "<x>" + ";" * size + "rel=next",
                "<x>;" + " " * size + "rel=next",
                "<x>" + '; a="\\' * size + '"; rel="next"',
                "<x>; rel=" + "next " * size,
            )
        )[:_LONG],
    )


def many_fields(random: Random, draft: Draft) -> None:
    draft.fields += [b"X-%d: y" % number for number in range(random.choice((100, 1000, 3000, 9000)))]


def same_field(random: Random, draft: Draft) -> None:
    name = random.choice((b"Docker-Content-Digest", b"Content-Type", b"ETag", b"Link", b"Set-Cookie", b"Location"))
    draft.fields += [name + b": " + random.choice((b"x", b"", b"a/b", b"y, z"))] * random.choice((1, 2, 500))


def long_line(random: Random, draft: Draft) -> None:
    name = random.choice(
        (
            *("X-Long", "Content-Type", "Docker-Content-Digest", "ETag", "Retry-After", "Location", "Content-Range"),
            *("WWW-Authenticate", "RateLimit-Limit", "Docker-Distribution-Api-Version", "Content-Encoding", "Date"),
        )
    )
    letter = random.choice("x 9,;\"=\\/<\t:'%")
    draft.put(name, letter * random.choice((9000, 16_000, 20_000, _LONG)))


def folded(random: Random, draft: Draft) -> None:
    draft.fields += random.choice(
        (
            [b"X-Folded: a", b" b", b"\tc"],
            [b"Content-Length: 1", b" 2"],
            [b"X-Folded: a", *[b" b"] * 2000],
            [b" first"],
        )
    )
    random.shuffle(draft.fields)


def no_field(random: Random, draft: Draft) -> None:
    draft.fields.insert(
        random.randrange(len(draft.fields) + 1),
        random.choice(
            (
                *(b"no colon", b": no name", b"a b: c", b"X-NUL: a\0b", b"\0", b"X-8: \xff\xfe\x80", b"\xc3\xa9: x"),
                *(b"X-Return: a\rb", b"X-Line: a\nSet-Cookie: " + MARK.encode(), b"X\x7f: y", b"", b"x" * 20_000),
                *(b"Content-Type : text/html", b"Content-Type:", b"Content-Type: \x00", b"Content-Type: a\x1bb"),
            )
        ),
    )


def two_lengths(random: Random, draft: Draft) -> None:
    right = b"%d" % len(draft.body)
    draft.fields.append(b"Content-Length: " + random.choice((right, b"0", b"5", right + b", " + right)))


def length(random: Random, draft: Draft) -> None:
    right = len(draft.body)
    draft.length = random.choice(
        (
            *(b"%d" % 2**63, b"%d" % (2**63 - 1), b"%d" % 2**64, b"%d" % 2**31, b"%d" % (64 << 20), b"%d" % (1 << 40)),
            *(b"-1", b"+5", b"0x10", b"", b"1e3", b"5 5", b"9" * 400, b"9" * 5000, b"\xd9\xa5", b"5;", b"1_0"),
            *(b"%d" % (right + 1), b"%d" % max(0, right - 1), b"0", b"0" * 30 + b"%d" % right),
        )
    )


def codings(random: Random, draft: Draft) -> None:
    value = random.choice(
        (
            *(b"chunked", b"chunked, chunked", b"gzip, chunked", b"identity", b"xchunked", b"\x0bchunked", b"CHUNKED"),
            *(b"chunked;x=y", b"", b",", b"chunked, identity", b"x" * 9000),
        )
    )
    draft.fields.append(b"Transfer-Encoding: " + value)
    draft.chunked = random.random() < 0.3


def digest(random: Random, draft: Draft) -> None:
    draft.put(
        "Docker-Content-Digest",
        random.choice(
            (
                *("", "x", "sha256:", "sha256:" + "0" * 64, "sha256:" + "A" * 64, "sha512:" + "0" * 128),
                *("md5:" + "0" * 32, "sha256:" + "0" * 63, "sha256:../../../etc/passwd", sha256(b""), "\xff" * 9),
                *("sha256:" + "0" * 10_000, f"{sha256(b'a')}, {sha256(b'b')}", "SHA256:" + "0" * 64),
            )
        ),
    )


def no_digest(random: Random, draft: Draft) -> None:
    draft.put("Docker-Content-Digest", "")
    draft.fields.pop()


def media_type(random: Random, draft: Draft) -> None:
    draft.put(
        "Content-Type",
        random.choice(
            (
                *("text/html", "text/html; charset=utf-7", "image/svg+xml", "application/xhtml+xml", "text/xml", ""),
                *("application/javascript", "multipart/byteranges; boundary=x", "application/json, text/html", "x"),
                *("TEXT/HTML", "a/b;" * 2000, "application/vnd.oci.image.manifest.v1+json; charset=utf-8", "\xff/\xfe"),
                *("application/vnd.oci.image.index.v1+json", "application/vnd.in-toto+json", "text/html\t;", '"a"/b'),
            )
        ),
    )


def encoding(random: Random, draft: Draft) -> None:
    value = random.choice(("gzip", "deflate", "br", "identity", "gzip, identity", "", "x", "GZIP", "identity, gzip"))
    draft.put("Content-Encoding", value)
    if random.random() < 0.5:
        draft.say(_COMPRESSED.get(value, bytes(1000)))


def retry_after(random: Random, draft: Draft) -> None:
    """On answers for which it does not mean to be left alone."""
    draft.put(
        "Retry-After",
        random.choice(
            (
                *("0", "-1", "9" * 5000, "1e9", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0000 00:00:00 GMT"),
                *("Fri, 31 Dec 9999 23:59:59 -9999", "Thu, 01 Jan 1970 00:00:00 +99999999", "x", "", "\xb2"),
                *("(" * 3000, "Mon, 01 Jan " + "1" * 3000, '"' * 3000, ", " * 3000, "(\\" * 3000),
            )
        ),
    )


def cookies(random: Random, draft: Draft) -> None:
    for name in random.sample(
        (
            *("Set-Cookie", "Clear-Site-Data", "Refresh", "Access-Control-Allow-Origin", "Content-Security-Policy"),
            *("Strict-Transport-Security", "Alt-Svc", "Server", "Via", "X-Forwarded-For", "Upgrade", "Keep-Alive"),
            *("Content-Disposition", "Service-Worker-Allowed", "SourceMap", "NEL", "Report-To", "Location", "Age"),
            *("Cache-Status", "Warning", "Proxy-Authenticate", "Trailer", "Expires", "Content-Location"),
        ),
        random.randint(1, 4),
    ):
        draft.add(name, MARK)


def connection(random: Random, draft: Draft) -> None:
    draft.add(
        "Connection", random.choice(("close", "keep-alive", "close, keep-alive", "Content-Length", "x", "upgrade"))
    )
    draft.closes = random.random() < 0.5


def interim(random: Random, draft: Draft) -> None:
    one = random.choice(
        (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
            b"HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 199 x\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"\r\n",
        )
    )
    draft.first = one * random.choice((1, 2, 100, 1000, 4000))


def ratelimit(random: Random, draft: Draft) -> None:
    values = ("100;w=21600", "9" * 5000, "-1", "0;w=0", "0", "x", ";" * 3000, " " * 9000 + "1", "1;w=", "5;w=5;w=5")
    for name in ("RateLimit-Limit", "RateLimit-Remaining"):
        draft.put(name, random.choice(values))


def content_range(random: Random, draft: Draft) -> None:
    draft.put(
        "Content-Range",
        random.choice(
            (
                *("bytes 0-0/1", "bytes */0", "bytes */*", "bytes 5-2/10", "bytes 0-9/5", "items 0-1/2", "", "bytes"),
                *(
                    f"bytes 0-{2**63}/{2**64}",
                    "bytes " + "9" * 5000 + "-",
                    "bytes -1-5/9",
                    "bytes 1-5/*",
                    "bytes=0-1/2",
                ),
            )
        ),
    )
    if random.random() < 0.5:
        draft.status = b"206 Partial Content"


def status_line(random: Random, draft: Draft) -> None:
    draft.version, draft.status = random.choice(
        (
            *((b"HTTP/1.1", b"200"), (b"HTTP/1.1", b""), (b"HTTP/1.1", b"99999 OK"), (b"HTTP/1.1", b"-1 x")),
            *((b"HTTP/1.1", b" 200 OK"), (b"ICY", b"200 OK"), (b"HTTP/2.0", b"200 OK"), (b"HTTP/0.9", b"200 OK")),
            *((b"HTTP/1.0", b"200 OK"), (b"http/1.1", b"200 OK"), (b"HTTP/1.1", b"abc OK"), (b"", b"")),
            *((b"HTTP/1.1", b"200 " + b"x" * 9000), (b"HTTP/1.1", b"200 \xff\x00\x1b[2J"), (b"HTTP/9" * 900, b"200 x")),
            *((b"HTTP/1.1", b"\xd9\xa2\xd9\xa0\xd9\xa0 OK"), (b"\x16\x03\x01\x02", b"\0"), (b"HTTP/1.1", b"2e2 OK")),
        )
    )


HEADS: tuple[Callable[[Random, Draft], None], ...] = (
    *(
        link,
        link,
        many_fields,
        same_field,
        long_line,
        long_line,
        folded,
        no_field,
        no_field,
        two_lengths,
        length,
        length,
    ),
    *(codings, digest, digest, no_digest, media_type, media_type, encoding, retry_after, cookies, cookies, connection),
    *(interim, ratelimit, content_range, status_line),
)
