from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.redirects import REDIRECT_LIMIT, REDIRECT_STATUSES, Redirect, RefusedRedirect, follow

BLOB = "https://registry.example/v2/a/blobs/sha256:abc"


def refusal(url: str, location: str | None, *, followed: int = 0, allow_http: bool = False) -> str:
    with pytest.raises(RefusedRedirect) as raised:
        follow(url, location, followed=followed, allow_http=allow_http)
    return str(raised.value)


def test_what_counts_as_a_redirect() -> None:
    assert {301, 302, 303, 307, 308} == REDIRECT_STATUSES


@pytest.mark.parametrize(
    ("location", "url", "same_origin"),
    [
        ("https://cdn.example/x?sig=a%2Fb", "https://cdn.example/x?sig=a%2Fb", False),
        ("https://registry.example/x", "https://registry.example/x", True),
        ("https://registry.example:443/x", "https://registry.example:443/x", True),
        ("HTTPS://Registry.Example/x", "https://Registry.Example/x", True),
        ("https://registry.example:8443/x", "https://registry.example:8443/x", False),
        ("https://registry.example.evil.example/x", "https://registry.example.evil.example/x", False),
        ("//cdn.example/x", "https://cdn.example/x", False),
        ("/x?y=z", "https://registry.example/x?y=z", True),
        ("sha256:def", "https://registry.example/v2/a/blobs/sha256:def", True),
        ("../x", "https://registry.example/v2/a/x", True),
        ("?x", BLOB + "?x", True),
        ("https://cdn.example/x#fragment", "https://cdn.example/x", False),
        ("https://cdn.example/a b?file=a b%20c", "https://cdn.example/a%20b?file=a%20b%20c", False),
        ("/caf\u00c3\u00a9", "https://registry.example/caf%C3%A9", True),
    ],
)
def test_where_a_redirect_leads(location: str, url: str, same_origin: bool) -> None:
    # "sha256:def" alone would be a scheme of its own.
    location = f"./{location}" if location.startswith("sha256:") else location
    assert follow(BLOB, location, followed=0) == Redirect(url, same_origin)


def test_a_relative_redirect_on_another_host_stays_there() -> None:
    assert follow("https://cdn.example/x", "/y", followed=1) == Redirect("https://cdn.example/y", True)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=0aF&X-Amz-Credential=a%2Fb%2fc",
        "sig=a+b%20c==&se=2026-01-01T00%3A00%3A00Z",
        "a=1&a=2&b&c=&&d=%7E~;e=%;f=%zz",
        "q=\"|^`{}[]'()*!$,@:/?\\",
        "x=" + "y" * 8000,
    ],
)
@pytest.mark.parametrize("base", ["https://cdn.example/x", "https://registry.example/y", "//cdn.example/z", "/z"])
def test_the_query_is_kept_byte_for_byte(base: str, query: str) -> None:
    assert follow(BLOB, f"{base}?{query}", followed=0).url.partition("?")[2] == query


SIGNED = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), min_size=1)


@given(SIGNED, st.sampled_from(["https://cdn.example/x", "https://registry.example/y", "/z"]))
def test_any_query_is_kept_byte_for_byte(query: str, base: str) -> None:
    assert follow(BLOB, f"{base}?{query}", followed=0).url.partition("?")[2] == query


@pytest.mark.parametrize("location", [None, ""])
def test_a_redirect_to_nowhere_is_refused(location: str | None) -> None:
    assert refusal(BLOB, location) == "it redirects without saying where"


@pytest.mark.security("S4")
def test_five_redirects_are_followed_and_no_more() -> None:
    assert REDIRECT_LIMIT == 5
    assert follow(BLOB, "/x", followed=4)
    assert refusal(BLOB, "/x", followed=5) == "it redirects more than 5 times"


@pytest.mark.security("S4")
@pytest.mark.parametrize(
    "location",
    [
        "http://registry.example/x",
        "http://cdn.example/x",
        "ftp://cdn.example/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,x",
        "gopher://10.0.0.1/",
        "unix:/run/docker.sock",
    ],
)
def test_only_https_is_followed(location: str) -> None:
    for allow_http in (False, True):
        assert "https" in refusal(BLOB, location, allow_http=allow_http)


@pytest.mark.security("S4")
@pytest.mark.parametrize(
    "location",
    [
        "https://user@cdn.example/x",
        "https://user:password@registry.example/x",
        "https://registry.example\\@evil.example/x",
        "https://cdn.example:0/x",
        "https://cdn.example:65536/x",
        "https://cdn.example:x/",
        "https://[/x",
        "https://[cdn.example]/x",
        "https://cdn example/x",
        "https://cdn.example/a\tb",
        "https://cdn.example/a\x7fb",
        "https://cdn.example/\u4e2d",
        "https://cdn.example/x\r\nHost: y",
        "https://b\u00fccher.example/",
        "https://cdn.example\\x",
    ],
)
def test_what_is_no_proper_url_is_refused(location: str) -> None:
    refusal(BLOB, location)


@pytest.mark.parametrize("location", ["http://cdn.internal/x", "/x", "https://cdn.example/x"])
def test_a_registry_that_is_http_by_configuration_may_redirect_to_http(location: str) -> None:
    assert follow("http://registry.internal:5000/v2/", location, followed=0, allow_http=True)


@pytest.mark.security("S4")
def test_http_without_leave_is_refused_even_from_http() -> None:
    assert refusal("http://registry.internal:5000/v2/", "/x").endswith("which is not https")


@pytest.mark.security("S6")
def test_http_and_https_of_one_host_are_two_origins() -> None:
    redirect = follow("http://registry.internal/x", "https://registry.internal/x", followed=0, allow_http=True)
    assert not redirect.same_origin


@pytest.mark.parametrize("location", ["https://", "https:///x"])
def test_a_url_without_a_host_stays_at_the_same_origin(location: str) -> None:
    redirect = follow(BLOB, location, followed=0)
    assert redirect.same_origin
    assert redirect.url.startswith("https://registry.example/")


@pytest.mark.security("S26")
def test_a_refusal_never_shows_the_query() -> None:
    for location in ("http://cdn.example/x?sig=secret", "https://u@cdn.example/x?sig=secret", "https://[/?sig=secret"):
        assert "secret" not in refusal(BLOB, location)


@pytest.mark.security("S4")
@given(st.text() | st.text("https:/@[].#?0\\ ", max_size=24))
def test_any_location_leads_to_https_or_is_refused(location: str) -> None:
    try:
        redirect = follow(BLOB, location, followed=0)
    except RefusedRedirect:
        return
    parts = urlsplit(redirect.url)
    assert parts.scheme == "https"
    assert parts.hostname
    assert "@" not in parts.netloc
    assert "#" not in redirect.url
    assert redirect.url.isascii()
    assert redirect.url.isprintable()
    assert redirect.same_origin == (parts.hostname == "registry.example" and parts.port in (None, 443))
