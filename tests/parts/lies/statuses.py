"""Lies in a status, with what belongs to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from .draft import Draft
from .heads import MARK

__all__ = ["STATUSES"]

_ANY = (
    *(
        200,
        201,
        202,
        203,
        204,
        205,
        206,
        207,
        226,
        299,
        300,
        304,
        305,
        306,
        399,
        400,
        402,
        403,
        404,
        405,
        406,
        407,
        408,
    ),
    *(
        409,
        410,
        411,
        412,
        413,
        414,
        415,
        416,
        417,
        418,
        421,
        422,
        425,
        426,
        428,
        431,
        451,
        499,
        500,
        501,
        502,
        503,
        504,
    ),
    *(505, 507, 508, 511, 599, 600, 999),
)
_REDIRECTS = (301, 302, 303, 307, 308)
# Loopback's and other special addresses, which need no name server to be refused.
_REALMS = (
    *("", "x", "https://169.254.169.254/token", "file:///etc/passwd", "https://[::1", "//x", "https://127.0.0.1:9/t"),
    *(
        "https://me:x@127.0.0.1/t",
        "https://127.0.0.1/" + "a" * 50_000,
        "https://localhost/t",
        "\xff",
        "https://10.0.0.1",
    ),
)


def any_status(random: Random, draft: Draft) -> None:
    draft.status = b"%d %s" % (random.choice(_ANY), MARK.encode())
    if random.random() < 0.4:
        _error(random, draft)


def redirect(random: Random, draft: Draft) -> None:
    asked = draft.asked
    draft.status = b"%d Moved" % random.choice(_REDIRECTS)
    path = asked.target.replace("/v2/", "/elsewhere/", 1)
    draft.put(
        "Location",
        random.choice(
            (
                *(path, path, f"http://{asked.host}{path}", asked.target, f"{asked.target}?{random.random()}"),
                *(
                    "",
                    "/",
                    "..",
                    "//",
                    "?",
                    "#",
                    "javascript:alert(1)",
                    "file:///etc/passwd",
                    "http://[::1",
                    "\xff\xfe",
                ),
                *("https://169.254.169.254/", "http://127.0.0.1:9/x", "http://localhost/x", "https://10.0.0.1/"),
                *(f"https://{asked.host}{path}", f"http://me:x@{asked.host}{path}", f"http://{asked.host}\\@[::1]/"),
                *(
                    "/" + "a" * 60_000,
                    "/../" * 9000,
                    "http://" + "1." * 9000,
                    f"http://{asked.host}:99999/",
                    "%" * 9000,
                ),
                *(f"/v2/n{random.randint(1, 96)}/app/blobs/{asked.reference}", "http:///x", "http://0x7f000001/"),
            )
        ),
    )
    if random.random() < 0.15:
        draft.fields.pop()


def unauthorized(random: Random, draft: Draft) -> None:
    asked = draft.asked
    draft.status = b"401 Unauthorized"
    sound = f"http://{asked.host}/token"
    scope = f"repository:{asked.letter}{asked.number}/app:pull"
    realm = sound if random.random() < 0.6 else random.choice(_REALMS)
    usual = f'Bearer realm="{realm}",service="x",scope="{scope}"'
    size = random.choice((10, 1000, 9000))
    draft.add(
        "WWW-Authenticate",
        random.choice(
            (
                *(
                    usual,
                    usual,
                    usual,
                    usual,
                    f'Basic realm="x", {usual}',
                    'Basic realm="x"',
                    "Bearer",
                    "",
                    "Digest x=y",
                ),
                *(
                    "Basic " * size,
                    'Bearer realm="' + "\\" * size,
                    "Bearer " + "a=b," * size,
                    "," * size,
                    "a b " * size,
                ),
                *(
                    "Bearer " + " " * size + "x",
                    "Bearer " + "=" * size,
                    "Bearer " + "a" * size,
                    'x="' * size,
                    " " * size,
                ),
                *("A " + "a/" * size + "!", "B " + 'a="\\"' * size, "Bearer realm=" + "x" * size, "\xff" * size),
                *(
                    usual + ',a="' + "b" * size + '"',
                    usual.replace(scope, scope * (size // 100 + 1)),
                    f"{usual}, " * 200,
                ),
            )
        )[:60_000],
    )
    _error(random, draft)


def quota(random: Random, draft: Draft) -> None:
    """Too many requests; whoever asked is to ask again at once, or this is the last that it asked."""
    draft.status = b"429 Too Many Requests"
    draft.put("Retry-After", "0")
    _error(random, draft)


def _error(random: Random, draft: Draft) -> None:
    message: Any = random.choice(
        (
            *(
                "denied",
                "\ud800",
                "<script>alert(1)</script>",
                "\x1b[2J\r\nSet-Cookie: x",
                "a" * 70_000,
                5,
                None,
                [],
                {},
            ),
            *("\u202e\u0000", {"message": "x"}, "x" * 3000, "é" * 500, 1e308, True),
        )
    )
    document = random.choice(
        (
            {"errors": [{"code": "DENIED", "message": message, "detail": message}]},
            {"errors": message},
            {"errors": [message]},
            {"errors": {"message": message}},
            {"message": message, "details": message},
            [message],
            message,
            {"errors": [{"message": message}] * 300},
        )
    )
    draft.say(json.dumps(document).encode(), "application/json")
    if random.random() < 0.2:
        draft.say(random.choice((b"<html>", b"", b"\xff\xfe{", b"[" * 60_000, b'{"errors":' * 5000)), "text/html")


STATUSES: tuple[Callable[[Random, Draft], None], ...] = (
    *(any_status, any_status, any_status, redirect, redirect, unauthorized, unauthorized, unauthorized, quota),
)
