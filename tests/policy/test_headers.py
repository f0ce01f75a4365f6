from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.headers import answer_headers, next_page

DIGEST = f"sha256:{'a' * 64}"
PATH = "/v2/quay.io/org/name/tags/list"


def test_what_describes_content_comes_down() -> None:
    upstream = {
        "accept-ranges": "bytes",
        "docker-content-digest": DIGEST,
        "etag": '"x"',
        "last-modified": "Tue, 15 Nov 1994 12:45:26 GMT",
        "oci-filters-applied": "artifactType",
    }
    assert answer_headers(upstream) == {
        "Accept-Ranges": "bytes",
        "Docker-Content-Digest": DIGEST,
        "ETag": '"x"',
        "Last-Modified": "Tue, 15 Nov 1994 12:45:26 GMT",
        "OCI-Filters-Applied": "artifactType",
    }


@pytest.mark.security("S6")
@pytest.mark.parametrize(
    "name",
    [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "proxy-authenticate",
        "content-length",
        "content-range",
        "content-type",
        "content-encoding",
        "set-cookie",
        "www-authenticate",
        "location",
        "link",
        "server",
        "strict-transport-security",
        "ratelimit-remaining",
        "oci-namespace",
        "x-anything",
    ],
)
def test_what_is_between_upstream_and_us_stays_there(name: str) -> None:
    assert answer_headers({name: "value"}) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("docker-content-digest", "sha256:abc"),
        ("docker-content-digest", "<script>"),
        ("etag", "\xff"),
        ("etag", "x" * 1000),
        ("last-modified", ""),
        ("oci-filters-applied", "a\tb"),
    ],
)
def test_what_is_no_value_of_its_kind_does_not_come_down(name: str, value: str) -> None:
    assert answer_headers({name: value}) == {}


@pytest.mark.parametrize(
    ("link", "query"),
    [
        ('</v2/org/name/tags/list?last=b&n=2>; rel="next"', "last=b&n=2"),
        ('</v2/org/name/tags/list?last=b&n=2>;rel="next"', "last=b&n=2"),
        ("</v2/org/name/tags/list?n=2>; rel=next", "n=2"),
        ('</v2/org/name/tags/list?n=2>; REL="NEXT"', "n=2"),
        ('<https://quay.io/v2/org/name/tags/list?n=2&next_page=gAA%3D>; rel="next"', "n=2&next_page=gAA%3D"),
        ('<?last=a%2Fb>; rel="next"', "last=a%2Fb"),
        ('<tags/list?last=a+b>; rel="next"', "last=a%20b"),
        ('</x?n=>; rel="next"', "n="),
        ('</x?n=2>; title="more"; rel="next"', "n=2"),
        ('</x?n=1>; rel="prev", </x?n=2>; rel="next"', "n=2"),
        ('</x?n=2>; rel="last next"', "n=2"),
        ('</x?a=1&a=2>; rel="next"', "a=1&a=2"),
        ('<https://[/x?n=1>; rel="next"', "n=1"),
        ('</x?n=1#n=2>; rel="next"', "n=1"),
        ('</x?n=1>; title="a > b, </x?n=9>; rel=x"; rel="next"', "n=1"),
        ('</x?n=1>; title="a \\" b"; rel="next"', "n=1"),
        ('</x?n=1>; rel = "next"', "n=1"),
        ("</x?n=1>;rel=next;crossorigin", "n=1"),
        ("</x?n=1>; crossorigin; rel=next", "n=1"),
        ("</x?n=1>; rel=prev; rel=next, </x?n=2>; rel=next", "n=2"),
        ("<</x?n=1>; rel=next, </x?n=2>; rel=next", "n=2"),
    ],
)
def test_a_next_page_is_behind_our_own_path(link: str, query: str) -> None:
    assert next_page(link, PATH) == f'<{PATH}?{query}>; rel="next"'


@pytest.mark.parametrize(
    "link",
    [
        "",
        "garbage",
        '</x?n=1>; rel="prev"',
        '</x?n=1>; rel="nextish"',
        "</x?n=1>; rel=next-archive",
        "</x?n=1>",
        '</x?n=1 2>; rel="next"',
        '</x?n=1; rel="next"',
        '</x?n=1>; rel="next',
        "</x?n=1>; rel=prev; rel=next",
        '</x?n=1>; title="rel=next"',
        '</x?n=1>, rel="next"',
        f"</x?{'a=1&' * 20}>; rel=next",
        f"</x?n=1>; rel=next; title={'a' * 9000}",
    ],
)
def test_without_a_next_page_there_is_no_link(link: str) -> None:
    assert next_page(link, PATH) is None


def test_a_link_keeps_the_namespace_that_the_client_asked_by() -> None:
    assert next_page('</x?n=2&ns=evil.example>; rel="next"', PATH, "quay.io") == f'<{PATH}?n=2&ns=quay.io>; rel="next"'


def test_a_namespace_of_upstreams_own_is_not_kept() -> None:
    assert next_page('</x?n=2&ns=evil.example>; rel="next"', PATH) == f'<{PATH}?n=2>; rel="next"'


SAFE_LINK = re.compile(r'</v2/quay\.io/org/name/tags/list\?[A-Za-z0-9._~%&=-]*>; rel="next"')


@pytest.mark.security("S14")
@given(st.text())
def test_any_target_becomes_a_link_that_is_relative_and_safe(target: str) -> None:
    link = next_page(f'<{target}>; rel="next"', PATH)
    assert link is None or SAFE_LINK.fullmatch(link)


@pytest.mark.security("S14")
@given(st.text())
def test_any_link_gives_none_or_one_that_is_relative_and_safe(value: str) -> None:
    link = next_page(value, PATH)
    assert link is None or SAFE_LINK.fullmatch(link)


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1), st.sampled_from(["", "https://evil.example"]))
def test_the_query_of_the_next_page_says_the_same_at_our_host(pairs: list[tuple[str, str]], origin: str) -> None:
    pairs = [(key, value) for key, value in pairs if key != "ns" and (key + value).isprintable()]
    query = "&".join(f"{quote(key)}={quote(value)}" for key, value in pairs)
    link = next_page(f'<{origin}/v2/org/name/tags/list?{query}>; rel="next"', PATH)
    assert link is not None
    url = urlsplit(urljoin("https://cr.example.com" + PATH, link[1 : link.index(">")]))
    assert (url.scheme, url.netloc, url.path) == ("https", "cr.example.com", PATH)
    assert parse_qsl(url.query, keep_blank_values=True) == pairs
