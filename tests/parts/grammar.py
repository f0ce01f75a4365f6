"""What a client may send, right and wrong: requests by the grammar of HTTP and of the distribution specification, bent.

All of it comes out of one ``Random``, so that a seed repeats it, and hypothesis can take it over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

__all__ = ["Conversation", "Grammar", "World"]

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class World:
    """What is there to be asked for.

    Arguments:
        hosts: names that the proxy answers to.
        registries: whose images there are, and others.
        repositories: in them.
        digests: of blobs and manifests.
        tags: of manifests.
    """

    hosts: Sequence[str]
    registries: Sequence[str]
    repositories: Sequence[str]
    digests: Sequence[str]
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one client sends on one connection.

    Arguments:
        pieces: one after the other.
        methods: of the requests, in their order; what the answers are like depends on them.
        sound: every request is whole, so that each must be answered.
        leaves: the client goes away without waiting.
        waits: it sends no piece before the last one was answered.
    """

    pieces: tuple[bytes, ...]
    methods: tuple[bytes, ...]
    sound: bool
    leaves: bool
    waits: bool


_METHODS = (
    b"PUT",
    b"POST",
    b"PATCH",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"PROPFIND",
    b"get",
    b"G*T",
    b"M" * 300,
)
_BENT = (
    *(
        "%2F",
        "%2f",
        "%5C",
        "..",
        "/../",
        "/./",
        "//",
        "%00",
        "%0d%0aX:%20y",
        "%C0%AF",
        "%E0%80%AF",
        "%2e%2e",
        "%",
        "%zz",
    ),
    *("\\", ":", "@", "#", "[", "]", "{", "~", ";x=y", "?", "&", "=", "%u002f", "é", "漢", "\x80", "\x9b", "\x85", "*"),
    *("A", "_", "-", ".", "sha256:", "blobs", "/manifests/", "/uploads/", "v2", "localhost:1", "a" * 300, "x/" * 200),
)
_RANGES = (
    *("bytes=0-0", "bytes=1-", "bytes=5-9", "bytes=100-999", "bytes=-7", "bytes=0-99999", "bytes=9999-9999") * 3,
    *(
        "bytes=0-0",
        "bytes=0-",
        "bytes=-1",
        "bytes=5-2",
        "bytes=-0",
        "bytes=1-3,5-7",
        "bytes=0-,0-,0-",
        "bytes=",
        "bytes",
    ),
    *("bytes=99999999999999999999-", "bytes=-99999999999999999999", "bytes=0-99999999999999999999", "items=0-1"),
    *("bytes=a-b", "bytes = 0 - 1", "BYTES=0-1", "bytes=0-1;x", "bytes=--1", "bytes=1e3-", "bytes=\u0660-", "none"),
)
_ACCEPTS = (
    *("*/*", "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"),
    *("text/html;q=0.9, */*;q=0.1", "", ",,,", "x" * 2000, "a/b;q=99"),
)
_AUTHORIZATIONS = (
    "Basic bWU6aHVudGVyMg==",
    "Bearer x.y.z",
    "Basic",
    "Basic ====",
    "Digest a=b",
    "\x00",
    "Bearer " + "x" * 3000,
)
_TYPES = (
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "\xff",
    "a" * 500,
)
_OTHER = (
    *("Connection: keep-alive", "Connection: upgrade", "Upgrade: websocket", "Expect: 100-continue", "Expect: x"),
    *("X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Forwarded: for=_x"),
    *('If-None-Match: "x"', "If-None-Match: *", 'If-Range: "x"', "If-Modified-Since: yesterday", "Cookie: a=b; c; =d"),
    *("Accept-Encoding: gzip, br", "TE: trailers", "Trailer: X", "Max-Forwards: 0", "Via: 1.1 x", "Referer: \x9b"),
    *(
        "X-Empty:",
        "Content-Encoding: gzip",
        "Sec-WebSocket-Key: x",
        "User-Agent: \x1b[2J\"'",
    ),
)
# Fields that make it unclear where a request ends or for whom it is, or that are none.
_UNCLEAR = (
    "Host: cr.test\r\nHost: evil.example",
    *("Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 6", "Content-Length: -1"),
    *(
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: 5, 5",
        "Content-Length:",
        "Content-Length: " + "9" * 40,
    ),
    *("Transfer-Encoding: chunked\r\nContent-Length: 3", "Content-Length: 3\r\nTransfer-Encoding: chunked"),
    *("Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Transfer-Encoding: chunked, chunked"),
    *(
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: \u0665",
        " leading: space",
        ": none",
    ),
    *(
        "X-Folded: a\r\n b\r\n\tc",
        "no colon",
        "X-NUL: a\x00b",
        "X-Long: " + "x" * 17000,
        "\r\n".join(f"X-{number}: y" for number in range(600)),
    ),
    *("X-Bare: a\nb", "X-Return: a\rb", "Host", "X\x7f: y", "(x): y"),
)
_CHUNKS = (
    b"0\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;ext=1\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"-1\r\nabc\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"3\nabc\n0\n\n",
    b"zz\r\n",
    b"1" * 2000,
)


class Grammar:
    """Makes conversations up.

    Arguments:
        random: decides.
        world: what there is.
    """

    def __init__(self, random: Random, world: World) -> None:
        self._random = random
        self._world = world

    def conversation(self) -> Conversation:
        """Return what a client sends."""
        random = self._random
        sound = random.random() < 0.7
        requests = [self._request(sound) for _ in range(random.randint(1, 8))]
        pieces = [request for request, _ in requests]
        waits = sound and random.random() < 0.5
        if not sound:
            pieces = self._split(self._damaged(b"".join(pieces)))
        elif not waits and random.random() < 0.8:
            pieces = self._split(b"".join(pieces))
        leaves = not waits and random.random() < 0.1
        return Conversation(tuple(pieces), tuple(method for _, method in requests), sound, leaves, waits)

    def target(self) -> str:
        """Return what is behind the method."""
        random, world = self._random, self._world
        name = self._one(world.repositories)
        if random.random() < 0.7:
            name = f"{self._one(world.registries)}/{name}"
        target = self._one(
            (
                lambda: f"/v2/{name}/manifests/{self._one((*world.tags, *world.digests))}",
                lambda: f"/v2/{name}/blobs/{self._one(world.digests)}",
                lambda: f"/v2/{name}/tags/list{self._query()}",
                lambda: f"/v2/{name}/referrers/{self._one(world.digests)}{self._query()}",
                lambda: self._one(
                    ("/v2/", "/", "/", "/", "/v2", "/v2/_catalog", "/token", "/.well-known/acme-challenge/x", "*", "/x")
                ),
                lambda: f"/v2/{name}/blobs/uploads/{self._query()}",
                lambda: f"http://{self._one(world.hosts)}/v2/{name}/tags/list",
            )
        )()
        if random.random() < 0.2:
            target += self._one(("?ns=", "&ns=")) + self._one(
                (*world.registries, "", "a b", "%00", "me:x@y", "..", "ns=ns")
            )
        for _ in range(self._one((0, 0, 0, 0, 1, 1, 2, 5))):
            target = self._bend(target, self._one(_BENT))
        return target

    def _query(self) -> str:
        pairs = ("n=1", "n=0", "n=-1", "n=99999999999999999999", "n=x", "n=", "last=a", "last=%00", "last=" + "z" * 500)
        others = ("artifactType=a%2Fb", "artifactType=", "x=y", "_state=x", "n", "%", "&", "n=1&n=2", "a=b&" * 20)
        return "?" + "&".join(self._some((*pairs, *others), 3)) if self._random.random() < 0.7 else ""

    def _request(self, sound: bool) -> tuple[bytes, bytes]:
        random = self._random
        method = self._one((b"GET",) * 30 + (b"HEAD",) * 15 + _METHODS)
        fields = [*self._hosts(), *self._fields()]
        body = b""
        if random.random() < 0.1:
            body = random.randbytes(random.randint(0, 64))
            if random.random() < 0.5:
                fields.append(f"Content-Length: {len(body)}")
            else:
                fields.append("Transfer-Encoding: chunked")
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif not sound and random.random() < 0.5:
            fields.append(self._one(_UNCLEAR))
            body = self._one((*_CHUNKS, b"", b"abc", b"abcde"))
        random.shuffle(fields)
        version = self._one(
            ("HTTP/1.1",) * (1 if sound else 12) + (() if sound else ("HTTP/1.0", "HTTP/2.0", "http/1.1", "X"))
        )
        target = self.target()
        if sound:
            # A target is printable ASCII, or there is no request (RFC 9112, 3.2).
            target = "".join(character if "!" <= character <= "~" else "%20" for character in target)
        head = "\r\n".join([f"{method.decode()} {target} {version}", *fields, "", ""])
        return head.encode("utf-8" if random.random() < 0.5 else "latin-1", "replace") + body, method

    def _hosts(self) -> list[str]:
        random, hosts = self._random, self._world.hosts
        if random.random() < 0.75:
            return [f"Host: {self._one(hosts)}"]
        return self._one(
            (
                [],
                ["Host:"],
                [f"hOST:\t{self._one(hosts).upper()}.:443 "],
                ["Host: me:x@cr.test"],
                ["Host: [::1]:5000"],
                ["Host: " + "a" * 1000],
                ["Host: \x80\xff"],
                ["Host: a/b?c#d"],
                ["Host: 127.0.0.1"],
            )
        )

    def _fields(self) -> list[str]:
        kinds: tuple[Callable[[], str], ...] = (
            lambda: f"Range: {self._one(_RANGES)}",
            lambda: f"Accept: {self._one(_ACCEPTS)}",
            lambda: f"Authorization: {self._one(_AUTHORIZATIONS)}",
            lambda: f"Content-Type: {self._one(_TYPES)}",
            lambda: self._one(_OTHER),
        )
        # NUL ends a connection (RFC 9110, 5.5): that is for what is not sound.
        return [self._one(kinds)().replace("\x00", "") for _ in range(self._one((0, 1, 1, 2, 3)))]

    def _damaged(self, data: bytes) -> bytes:
        """Flip, cut, double and insert."""
        random = self._random
        for _ in range(self._one((0, 1, 1, 2, 5))):
            start = random.randrange(len(data) + 1)
            end = min(len(data), start + random.randint(1, 40))
            before, inside, after = data[:start], data[start:end], data[end:]
            data = self._one(
                (
                    before + random.randbytes(len(inside)) + after,
                    before + after,
                    before + inside + inside + after,
                    before,
                    before + self._one((b"\r\n", b"\n", b"\x00", b"\x16\x03\x01", b" ", b":")) + inside + after,
                )
            )
        return data

    def _split(self, data: bytes) -> list[bytes]:
        cuts = sorted(self._random.randrange(len(data) + 1) for _ in range(self._one((0, 1, 3, 12))))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]

    def _bend(self, text: str, with_what: str) -> str:
        at = self._random.randrange(len(text) + 1)
        end = min(len(text), at + self._one((0, 0, 1, 8)))
        return text[:at] + with_what + text[end:]

    def _some(self, things: Sequence[str], most: int) -> list[str]:
        return [self._one(things) for _ in range(self._random.randint(1, most))]

    def _one(self, things: Sequence[Thing]) -> Thing:
        return things[self._random.randrange(len(things))]
