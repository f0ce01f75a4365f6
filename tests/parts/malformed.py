"""Requests that are none, or that others may read in another way (RFC 9112, 11.2): each is answered 400, once."""

from __future__ import annotations

__all__ = ["malformed", "smuggled"]

_MEBIBYTE = 1 << 20


def smuggled(host: str) -> bytes:
    """Return what stands behind one of them: nobody may take it for a request."""
    return f"GET /v2/smuggled/manifests/v1 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def malformed(host: str) -> dict[str, bytes]:
    """Return them, sent to ``host``, by what is wrong with each."""
    name = host.encode()
    named = b"Host: " + name + b"\r\n"
    get, post = (method + b" /v2/ HTTP/1.1\r\n" + named for method in (b"GET", b"POST"))
    return {
        "both lengths": post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two lengths": post + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
        "bad chunks": post + b"Transfer-Encoding: chunked\r\n\r\nz\r\n\r\n",
        "a folded line": get + b"X: a\r\n b\r\n\r\n",
        "bare line feeds": b"GET /v2/ HTTP/1.1\nHost: " + name + b"\n\n\r\n",
        "a space before a colon": post + b"Content-Length : 4\r\n\r\nxxxx",
        "a space before a coding's colon": post + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "the same length twice": post + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nxxxx",
        "two hosts": get + b"Host: evil.test\r\n\r\n",
        "the same host twice": get + named + b"\r\n",
        "identity beside a length": post + b"Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nxxxx",
        "a length beside identity": post + b"Content-Length: 4\r\nTransfer-Encoding: identity\r\n\r\nxxxx",
        "identity alone": post + b"Transfer-Encoding: identity\r\n\r\n",
        "two codings": post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a coding in HTTP/1.0": b"POST /v2/ HTTP/1.0\r\n" + named + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a bare carriage return": get + b"X: a\rContent-Length: 4\r\n\r\nxxxx",
        "a thousand fields": get + b"".join(b"X-%d: y\r\n" % number for number in range(1000)) + b"\r\n",
        "a large header": get + b"X: " + b"y" * _MEBIBYTE + b"\r\n\r\n",
        "a NUL": b"GET /v2/\0 HTTP/1.1\r\n" + named + b"\r\n",
        "another version": b"GET /v2/ HTTP/3.0\r\n" + named + b"\r\n",
    }
