from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.challenges import (
    Challenge,
    TokenRequest,
    may_have_credentials,
    parse_challenges,
    realm_is_sound,
    token_request,
)
from crproxy.policy.fields import FIELD_LIMIT

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"'


def parsed(*lines: str) -> list[tuple[str, dict[str, str]]]:
    return [(challenge.scheme, dict(challenge.parameters)) for challenge in parse_challenges(list(lines))]


def test_docker_hubs_challenge_is_read() -> None:
    assert parsed(HUB) == [
        (
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:library/nginx:pull",
            },
        )
    ]


@pytest.mark.parametrize(
    ("line", "challenges"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        ("BASIC Realm=x", [("basic", {"realm": "x"})]),
        ('Basic realm="a, b=c"', [("basic", {"realm": "a, b=c"})]),
        (r'Basic realm="a \"b\" \\"', [("basic", {"realm": 'a "b" \\'})]),
        ('Basic realm=""', [("basic", {"realm": ""})]),
        ('Basic realm = "x" , charset="UTF-8"', [("basic", {"realm": "x", "charset": "UTF-8"})]),
        ('Basic realm="x",', [("basic", {"realm": "x"})]),
        (', , Basic realm="x"', [("basic", {"realm": "x"})]),
        ('Basic realm="x", realm="y"', [("basic", {"realm": "x"})]),
        ("Negotiate", [("negotiate", {})]),
        ("Negotiate YWJj==", [("negotiate", {})]),
        ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Negotiate YWJj==, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Negotiate YWJj, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        (
            'Basic realm="x", Bearer realm="y",scope="z"',
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y", "scope": "z"})],
        ),
        (
            'Bearer realm="y", Negotiate, Basic realm="x"',
            [("bearer", {"realm": "y"}), ("negotiate", {}), ("basic", {"realm": "x"})],
        ),
    ],
)
def test_challenges_in_one_line(line: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert parsed(line) == challenges


def test_challenges_in_several_lines_are_in_their_order() -> None:
    assert [scheme for scheme, _ in parsed('Basic realm="x"', HUB)] == ["basic", "bearer"]


@pytest.mark.parametrize(
    ("line", "schemes"),
    [
        ('Bearer realm="unended', ["bearer"]),
        ('Basic realm="x" garbage="y', ["basic"]),
        ('"', []),
        ("=", []),
        ("Bearer =x", ["bearer"]),
        ('Basic realm="x", @@@, Bearer realm="y"', ["basic"]),
    ],
)
def test_what_cannot_be_read_ends_the_line_and_what_came_before_counts(line: str, schemes: list[str]) -> None:
    assert [scheme for scheme, _ in parsed(line)] == schemes


def test_an_unreadable_line_leaves_the_next_one_alone() -> None:
    assert parsed('Bearer realm="unended', 'Basic realm="x"') == [("bearer", {}), ("basic", {"realm": "x"})]


TOKEN = st.text("abzAZ09!#$%&'*+.^_`|~-", min_size=1, max_size=8)
VALUE = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20)
PARAMETERS = st.dictionaries(TOKEN.map(str.lower), VALUE, min_size=1, max_size=4)
CHALLENGE = st.tuples(TOKEN, PARAMETERS | st.from_regex(r"[A-Za-z0-9._~+/-]{1,12}={0,2}", fullmatch=True) | st.none())


def written(scheme: str, rest: dict[str, str] | str | None) -> str:
    if isinstance(rest, dict):
        quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in rest.values())
        rest = ",".join(f'{name}="{value}"' for name, value in zip(rest, quoted, strict=True))
    return scheme if rest is None else f"{scheme} {rest}"


@given(st.lists(CHALLENGE, max_size=4), st.sampled_from([",", ", ", " ,\t", ", ,"]))
def test_generated_challenges_are_read_as_they_were_meant(
    challenges: list[tuple[str, dict[str, str] | str | None]], joint: str
) -> None:
    meant = [(scheme.lower(), rest if isinstance(rest, dict) else {}) for scheme, rest in challenges]
    assert parsed(joint.join(written(*challenge) for challenge in challenges)) == meant
    assert parsed(*(written(*challenge) for challenge in challenges)) == meant


@given(st.lists(st.text() | st.text('Bearer ="\\,realm\t', max_size=40)))
def test_any_lines_are_read_without_an_error(lines: list[str]) -> None:
    assert all(challenge.scheme == challenge.scheme.lower() for challenge in parse_challenges(lines))


@pytest.mark.parametrize("line", ['Basic a="' + "\\" * 60_000, "a=" * 30_000, "a," * 30_000, " " * 60_000 + "@"])
@pytest.mark.timeout(20)
def test_a_long_line_is_read_in_little_time(line: str) -> None:
    parse_challenges([line])


def test_a_token_is_asked_for_as_the_challenge_says() -> None:
    (challenge,) = parse_challenges([HUB])
    request = token_request(challenge, "repository:other:pull")
    assert request == TokenRequest(
        "https://auth.docker.io/token", "registry.docker.io", "repository:library/nginx:pull"
    )


def test_a_challenge_without_a_scope_is_answered_for_what_is_wanted() -> None:
    request = token_request(Challenge("bearer", {"realm": "https://x/"}), "repository:a:pull")
    assert request == TokenRequest("https://x/", "", "repository:a:pull")


@pytest.mark.parametrize("parameters", [{}, {"realm": ""}, {"service": "x"}])
def test_a_challenge_without_a_realm_cannot_be_answered(parameters: dict[str, str]) -> None:
    assert token_request(Challenge("bearer", parameters), "scope") is None


@pytest.mark.parametrize(
    ("request_", "url"),
    [
        (
            TokenRequest("https://auth.docker.io/token", "registry.docker.io", "repository:library/nginx:pull"),
            "https://auth.docker.io/token?service=registry.docker.io&scope=repository%3Alibrary%2Fnginx%3Apull",
        ),
        (TokenRequest("https://x/t?account=a", "s", ""), "https://x/t?account=a&service=s"),
        (TokenRequest("https://x/t", "", "b c&d"), "https://x/t?scope=b+c%26d"),
        (TokenRequest("https://x/t", "", ""), "https://x/t"),
    ],
)
def test_the_url_of_a_token_request(request_: TokenRequest, url: str) -> None:
    assert request_.url == url


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_service_and_scope_arrive_as_they_were(service: str, scope: str) -> None:
    query = urlsplit(TokenRequest("https://x/t", service, scope).url).query
    sent = parse_qs(query, keep_blank_values=True)
    assert sent.get("service", [""]) == [service]
    assert sent.get("scope", [""]) == [scope]


@pytest.mark.security("S5")
@pytest.mark.parametrize(
    ("realm", "allow_http", "sound"),
    [
        ("https://auth.docker.io/token", False, True),
        ("https://auth.docker.io:8443/token?x=y", False, True),
        ("HTTPS://auth.docker.io/token", False, True),
        ("https://[2001:db8::1]/token", False, True),
        ("http://auth.docker.io/token", False, False),
        ("http://registry.internal/token", True, True),
        ("ftp://registry.internal/token", True, False),
        ("file:///etc/passwd", True, False),
        ("/token", True, False),
        ("//auth.docker.io/token", False, False),
        ("auth.docker.io/token", False, False),
        ("https:///token", False, False),
        ("https://user@auth.docker.io/token", False, False),
        ("https://auth.docker.io:0/token", False, False),
        ("https://auth.docker.io:65536/token", False, False),
        ("https://auth.docker.io:x/token", False, False),
        ("https://[/token", False, False),
        ("https://auth.docker.io/token#x", False, False),
        ("https://auth.docker.io\\@evil.example/token", False, False),
        ("https://auth docker.io/token", False, False),
        ("https://auth.docker.io/to ken", False, False),
        ("https://auth.docker.io/\r\nHost: x", False, False),
        ("https://bücher.example/token", False, False),
        ("", False, False),
    ],
)
def test_a_sound_realm_is_an_absolute_https_url(realm: str, allow_http: bool, sound: bool) -> None:
    assert realm_is_sound(realm, allow_http=allow_http) is sound


@given(st.text() | st.text("https:/@[].0 ", max_size=20), st.booleans())
def test_any_realm_is_sound_or_not(realm: str, allow_http: bool) -> None:
    assert realm_is_sound(realm, allow_http=allow_http) in (True, False)


@pytest.mark.security("S5")
@pytest.mark.parametrize(
    ("realm", "endpoint", "may"),
    [
        ("https://auth.docker.io/token", "https://registry-1.docker.io", True),
        ("https://AUTH.Docker.IO/token", "https://registry-1.docker.io", True),
        ("https://ghcr.io/token", "https://ghcr.io", True),
        ("https://ghcr.io:8443/token", "https://ghcr.io", True),
        ("https://auth.docker.io.evil.example/token", "https://registry-1.docker.io", False),
        ("https://evil-docker.io/token", "https://registry-1.docker.io", False),
        ("https://auth.docker.com/token", "https://registry-1.docker.io", False),
        ("https://io/token", "https://registry-1.docker.io", False),
        ("https://docker.io@evil.example/token", "https://registry-1.docker.io", False),
        # a public suffix is nobody's domain
        ("https://evil.co.uk/token", "https://registry.co.uk", False),
        ("https://auth.firm.co.uk/token", "https://registry.firm.co.uk", True),
        ("https://evil.github.io/token", "https://registry.github.io", False),
        ("https://evil.azurecr.io/token", "https://evil.azurecr.io", True),
        ("https://evil.internal/token", "https://registry.internal", False),
        ("https://auth.firm.internal/token", "https://registry.firm.internal", True),
        ("https://co.uk/token", "https://github.io", False),
        # addresses have no domain, whatever their last numbers are
        ("https://192.168.0.1/token", "https://10.0.0.1", False),
        ("https://10.0.0.1/token", "https://10.0.0.1:5000", True),
        ("https://10.0.0.2/token", "https://10.0.0.1:5000", False),
        ("https://[2001:db8::1]/token", "https://[2001:db8::2]", False),
        # never from https to http
        ("http://auth.docker.io/token", "https://registry-1.docker.io", False),
        ("http://registry.internal/token", "http://registry.internal:5000", True),
        ("https://auth.firm.internal/token", "http://registry.firm.internal", True),
        ("/token", "https://ghcr.io", False),
    ],
)
def test_credentials_stay_in_the_registrys_own_domain(realm: str, endpoint: str, may: bool) -> None:
    assert may_have_credentials(realm, endpoint) is may


def test_what_is_longer_than_a_field_is_not_read() -> None:
    """Of several lines together, too."""
    line = f'Bearer realm="https://auth.example/token",scope="{"x" * (FIELD_LIMIT // 2)}"'
    assert len(parse_challenges([line])) == 1
    assert len(parse_challenges([line, "Basic realm=a"])) == 2
    assert len(parse_challenges([line, line, "Basic realm=a"])) == 1
    assert parse_challenges([line + " " * FIELD_LIMIT]) == []


@pytest.mark.security("S5")
def test_a_listed_host_may_have_credentials_but_not_in_the_clear() -> None:
    listed = frozenset({"login.example.net"})
    assert may_have_credentials("https://login.example.net/token", "https://quay.io", listed)
    assert not may_have_credentials("http://login.example.net/token", "https://quay.io", listed)
    assert not may_have_credentials("https://other.example.net/token", "https://quay.io", listed)
