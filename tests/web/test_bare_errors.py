from __future__ import annotations

from crproxy.web.bare_errors import BAD_REQUEST, bare_error

ID = "k2m4x7abcdef"


def test_one_without_a_body() -> None:
    assert bare_error(BAD_REQUEST, ID) == (
        b"HTTP/1.1 400 Bad Request (request k2m4x7abcdef)\r\n"
        b"Connection: close\r\nX-Request-Id: k2m4x7abcdef\r\nContent-Length: 0\r\n\r\n"
    )


def test_one_that_says_what_to_do() -> None:
    head, _, body = bare_error(BAD_REQUEST, ID, "Ask for something else.").partition(b"\r\n\r\n")
    assert body == b"Ask for something else. (request k2m4x7abcdef)\n"
    assert head.split(b"\r\n")[-2:] == [b"Content-Type: text/plain", b"Content-Length: %d" % len(body)]
