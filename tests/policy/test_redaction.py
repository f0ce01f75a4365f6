from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.redaction import escaped, redacted, redacted_target

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJhY2Nlc3MiOltdfQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("http://me:hunter2@proxy.test:3128 hung up", "http://***@proxy.test:3128 hung up"),
        ("http://me:hun@ter/2@proxy.test", "http://***@proxy.test"),
        ("me:hunter2@proxy.test hung up", "***@proxy.test hung up"),
        ("'me:hunter=2@quay.io' is not a registry's name", "'***@quay.io' is not a registry's name"),
        ("https://cdn.test/x?X-Amz-Signature=hunter2 answered 403", "https://cdn.test/x?*** answered 403"),
        ("'https://quay.io?hunter2' is no URL", "'https://quay.io?***' is no URL"),
        ('"Location": "https://cdn.test/x?sig=hunter2"', '"Location": "https://cdn.test/x?***"'),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("the token Bearer hunter2 is no good", "the token Bearer *** is no good"),
        ("Basic bWU6aHVudGVyMg== is refused", "Basic *** is refused"),
        (f"{JWT} has expired", "*** has expired"),
        ('{"access_token": "hunter2"}', '{"access_token": ***"}'),
        ("/v2/a;_state=hunter2/tags/list", "/v2/a;_state=***/tags/list"),
        ("/v2/a%3Fsig=hunter2", "/v2/a%3Fsig=***"),
        ("GET /token?account=hunter2 HTTP/1.1 is denied", "GET /token?*** HTTP/1.1 is denied"),
        ("password = hunter2, user = me", "password = ***, user = me"),
    ],
)
def test_s26_a_secret_in_a_text_is_taken_out(text: str, safe: str) -> None:
    assert redacted(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "quay.io/org/app:v1@sha256:abc is not there: quay.io answered 404: MANIFEST_UNKNOWN manifest unknown",
        "quay.io is not available: its token service: it did not answer in time",
        "the proxy 192.0.2.1:3128 answered 407 Proxy Authentication Required",
        "basic authentication is wanted, and bearer tokens are not",
        "/v2/docker.io/library/nginx/blobs/sha256:abc",
        "docker/27.0.3 go/go1.21.11 git-commit/662f78c kernel/6.1.0 os/linux UpstreamClient(Docker-Client/27.0.3)",
        "cr.example.com:443",
        "is this machine's clock right? a=b",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("/v2/", "/v2/"),
        ("/v2/a/tags/list?n=2&last=a%2Bb&ns=quay.io", "/v2/a/tags/list?n=2&last=a%2Bb&ns=quay.io"),
        ("/v2/a/referrers/sha256:abc?artifactType=x%2Fy", "/v2/a/referrers/sha256:abc?artifactType=x%2Fy"),
        ("/v2/a/manifests/v1?ns=localhost:5000", "/v2/a/manifests/v1?ns=localhost:5000"),
        ("/v2/a?_state=hunter2&sig=hunter2&token=hunter2", "/v2/a?_state=***&sig=***&token=***"),
        ("/v2/a?x=hunter2&n=1", "/v2/a?x=***&n=1"),
        ("/v2/a?%74oken=hunter2", "/v2/a?***"),
        ("/v2/a?hunter2", "/v2/a?***"),
        ("/v2/a?", "/v2/a?"),
        ("/v2/a?ns=me:hunter2@quay.io", "/v2/a?ns=***"),
        ("/v2/a?ns=me:hunter2%40quay.io", "/v2/a?ns=***"),
        ("/v2/a?n=1?token=hunter2", "/v2/a?n=***"),
        ("http://me:hunter2@cr.test/v2/", "http://***@cr.test/v2/"),
        ("/v2/me:hunter2@quay.io/a/manifests/v1", "/v2/***@quay.io/a/manifests/v1"),
    ],
)
def test_s26_of_a_target_only_what_is_known_to_be_harmless_stays(target: str, safe: str) -> None:
    assert redacted_target(target) == safe


@given(st.text("abn%-_.7", max_size=9).filter(lambda name: name != "n"), st.text("xyzXYZ", min_size=10))
def test_s26_no_value_of_an_unknown_parameter_stays(name: str, secret: str) -> None:
    for pair in (f"{name}={secret}", f"{name}{secret}", f"n={secret}@", f"n={secret}%00", f"n=1;{name}={secret}"):
        assert secret not in redacted_target(f"/v2/?last=1&{pair}&ns=quay.io")


@given(st.text())
def test_s26_what_is_escaped_is_one_line_of_ascii_within_its_quotes(text: str) -> None:
    inside = escaped(text)
    assert all(" " <= character <= "~" for character in inside)
    assert '"' not in inside.replace("\\\\", "").replace('\\"', "")


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('a"b', 'a\\"b'),
        ("a\\b", "a\\\\b"),
        ("a\nb\x1b\x9b", "a\\x0ab\\x1b\\x9b"),
        ("漢", "\\u6f22"),
        ("😀", "\\U0001f600"),
    ],
)
def test_an_escape_can_be_told_from_what_looks_like_one(text: str, inside: str) -> None:
    assert escaped(text) == inside


@pytest.mark.parametrize(
    "piece", [":", "//", "?", "@", "a.", "http://", "eyJ-", "token", "bearer ", "authorization ", "token= "]
)
def test_the_time_grows_with_the_text_and_not_with_its_square(piece: str) -> None:
    began = time.process_time()
    redacted(piece * (64 * 1024 // len(piece)))
    # The square of 64 Ki steps is minutes.
    assert time.process_time() - began < 5
