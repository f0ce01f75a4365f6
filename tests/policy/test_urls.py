from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.urls import Origin, origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://quay.io", Origin("https", "quay.io", 443)),
        ("https://quay.io/", Origin("https", "quay.io", 443)),
        ("https://quay.io:443/x?y", Origin("https", "quay.io", 443)),
        ("http://quay.io:443/", Origin("http", "quay.io", 443)),
        ("HTTP://QUAY.io/", Origin("http", "quay.io", 80)),
        ("https://quay.io.:8443/", Origin("https", "quay.io.", 8443)),
        ("https://[2001:DB8::1]:8443/", Origin("https", "2001:db8::1", 8443)),
        ("https://192.0.2.1", Origin("https", "192.0.2.1", 443)),
        ("https://quay.io/a\\b", Origin("https", "quay.io", 443)),
        ("https://quay.io?x@y", Origin("https", "quay.io", 443)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: Origin) -> None:
    assert origin_of(url) == origin


@pytest.mark.security("S2")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "/x",
        "//quay.io/x",
        "quay.io",
        "https:",
        "https://",
        "https:///x",
        "https:quay.io",
        "ftp://quay.io",
        "javascript://quay.io/%0a",
        "https://user@quay.io",
        "https://@quay.io",
        "https://quay.io@evil.example",
        "https://quay.io\\.evil.example",
        "https://quay.io\\@evil.example",
        "https://quay.io%2eevil.example",
        "https://quay.io:",
        "https://quay.io:0",
        "https://quay.io:65536",
        "https://quay.io:x",
        "https://quay.io:1:2",
        "https://[quay.io]",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://quay io",
        "https://quay.io/a b",
        "https://quay.io/\t",
        "https://quay.io/\r\nHost: x",
        "https://quay.io\x00",
        " https://quay.io",
        "https://b\u00fccher.example",
        "https://quay.io/\u00e9",
    ],
)
def test_what_could_be_read_in_two_ways_has_no_origin(url: str) -> None:
    assert origin_of(url) is None


@given(st.text() | st.text("htps:/@[].#?0\\% ", max_size=24))
def test_any_text_has_an_origin_or_none(url: str) -> None:
    origin = origin_of(url)
    assert origin is None or (origin.scheme in ("http", "https") and 0 < origin.port < 65536)
