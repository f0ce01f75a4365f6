from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.web.http_headers import Headers

from crproxy.upstream.fields import field_of, lines_of

RESPONSE: Any = SimpleNamespace(headers=Headers({b"x": [b"\xff\x80", b"b"]}))


def test_a_field_that_is_no_utf8_is_read() -> None:
    assert lines_of(RESPONSE, b"X") == ["\xff\x80", "b"]
    assert field_of(RESPONSE, b"x") == "\xff\x80"


def test_what_is_not_there_is_nothing() -> None:
    assert lines_of(RESPONSE, b"y") == []
    assert field_of(RESPONSE, b"y") is None
