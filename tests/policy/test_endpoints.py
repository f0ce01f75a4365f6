from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import _parse

from crproxy.policy.endpoints import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("description", "endpoint", "host", "is_local"),
    [
        ("tcp:443", Endpoint("tcp", "", 443), "127.0.0.1", False),
        ("tcp:port=80:interface=192.0.2.7", Endpoint("tcp", "192.0.2.7", 80), "192.0.2.7", False),
        ("tcp:80:interface=0.0.0.0", Endpoint("tcp", "0.0.0.0", 80), "127.0.0.1", False),
        ("tcp:5000:interface=127.0.0.1", Endpoint("tcp", "127.0.0.1", 5000), "127.0.0.1", True),
        ("tcp:5000:127.0.0.9", Endpoint("tcp", "127.0.0.9", 5000), "127.0.0.9", True),
        ("tcp:5000:interface=localhost", Endpoint("tcp", "localhost", 5000), "localhost", True),
        (r"tcp6:443:interface=\:\:", Endpoint("tcp6", "::", 443), "::1", False),
        (r"tcp6:443:interface=\:\:1", Endpoint("tcp6", "::1", 443), "::1", True),
        ("ssl:443:privateKey=key.pem", Endpoint("ssl", "", 443), "127.0.0.1", False),
        ("unix:/run/crproxy.sock:mode=660", Endpoint("unix", path="/run/crproxy.sock"), "127.0.0.1", True),
        (r"unix:/run/a\:b", Endpoint("unix", path="/run/a:b"), "127.0.0.1", True),
        (r"unix:/run/a\\:mode=660", Endpoint("unix", path="/run/a\\"), "127.0.0.1", True),
        (r"unix:/run/a\=b=c:mode=660", Endpoint("unix"), "127.0.0.1", True),
        (r"unix:address=/run/a=b\\\:c", Endpoint("unix", path=r"/run/a=b\:c"), "127.0.0.1", True),
        ("tcp:5000:", Endpoint("tcp", "", 5000), "127.0.0.1", False),
        ("", Endpoint(""), "127.0.0.1", False),
        ("systemd:domain=INET:index=0", Endpoint("systemd"), "127.0.0.1", False),
        ("tcp:http", Endpoint("tcp"), "127.0.0.1", False),
        ("haproxy:tcp:8443", Endpoint("tcp", "", 8443, proxied=True), "127.0.0.1", False),
    ],
)
def test_where_an_endpoint_listens(description: str, endpoint: Endpoint, host: str, is_local: bool) -> None:
    found = parse_endpoint(description)
    assert (found, found.host, found.is_local) == (endpoint, host, is_local)


@given(st.text(st.sampled_from(":=\\") | st.characters()))
def test_what_is_escaped_is_read_as_it_was(path: str) -> None:
    escaped = re.sub(r"([\\:=])", r"\\\1", path)
    assert parse_endpoint(f"unix:{escaped}:mode=660").path == path


@given(st.text(st.sampled_from(":=\\ab")))
def test_the_parts_are_those_that_twisted_finds(description: str) -> None:
    try:
        positional, named = _parse(f"unix:{description}")
    except RuntimeError:
        # It ends in the middle of an escape.
        positional, named = _parse(f"unix:{description.removesuffix(chr(92))}")
    path = named.get("address", positional[1] if len(positional) > 1 else "")
    assert parse_endpoint(f"unix:{description}") == Endpoint("unix", named.get("interface", ""), path=path)


@given(st.text(), st.text("0123456789", min_size=1))
def test_any_text_is_read(description: str, digits: str) -> None:
    parse_endpoint(description)
    assert parse_endpoint(f"tcp:{digits}").port in (None, int(digits[:5]))
