from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.proxies import DIRECT, Proxies, Proxy, from_environment, parse_proxy
from crproxy.policy.urls import Origin, origin_of
from tests.outcomes import outcome

PROXY = Proxy("proxy.internal", 3128)


def basic(userinfo: str) -> str:
    return "Basic " + base64.b64encode(userinfo.encode()).decode()


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.internal:3128", PROXY),
        ("http://proxy.internal:3128/", PROXY),
        ("HTTP://Proxy.Internal", PROXY),
        ("proxy.internal", PROXY),
        ("proxy.internal:8080", Proxy("proxy.internal", 8080)),
        ("http://proxy.internal:80", Proxy("proxy.internal", 80)),
        ("http://[::1]:3128", Proxy("::1", 3128)),
        ("http://user:secret@proxy.internal:3128", Proxy("proxy.internal", 3128, basic("user:secret"))),
        ("http://user:p%40ss%3A%2F@proxy.internal", Proxy("proxy.internal", 3128, basic("user:p@ss:/"))),
        ("http://user:p@ss@proxy.internal", Proxy("proxy.internal", 3128, basic("user:p@ss"))),
        ("user:secret@proxy.internal:1", Proxy("proxy.internal", 1, basic("user:secret"))),
    ],
)
def test_a_proxy_is_a_url(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy


@pytest.mark.parametrize(
    "url", ["", "http://", "https://proxy:3128", "socks5://proxy:1080", "http://proxy:0", "http://a b", "http://p/path"]
)
def test_what_is_none_says_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match=r"^not an HTTP proxy: write http://HOST:PORT"):
        parse_proxy(url)


@pytest.mark.security("S26")
def test_a_password_is_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"^not an HTTP proxy") as raised:
        parse_proxy("socks5://user:secret@proxy")
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(parse_proxy("http://user:secret@proxy"))


@given(st.text(min_size=1), st.text())
def test_any_password_arrives(user: str, password: str) -> None:
    url = f"http://{quote(user, safe='')}:{quote(password, safe='')}@proxy:1"
    assert parse_proxy(url).authorization == basic(f"{user}:{password}")


@given(st.text())
def test_any_text_is_a_proxy_or_a_value_error(text: str) -> None:
    found = outcome(ValueError, parse_proxy, text)
    assert isinstance(found, Proxy | ValueError)


def reached(no_proxy: str, url: str) -> Proxy | None:
    proxies = from_environment({"https_proxy": "proxy.internal", "http_proxy": "proxy.internal", "no_proxy": no_proxy})
    origin = origin_of(url)
    assert origin is not None
    return proxies.for_origin(origin)


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", "https://quay.io"),
        ("quay.io", "https://quay.io"),
        ("QUAY.io", "https://quay.io"),
        ("quay.io", "https://cdn.quay.io"),
        (".quay.io", "https://cdn.quay.io"),
        ("*.quay.io", "https://cdn.quay.io"),
        ("a.example, quay.io", "https://quay.io"),
        ("a.example quay.io", "https://quay.io"),
        ("quay.io:443", "https://quay.io"),
        ("quay.io:8443", "https://quay.io:8443"),
        ("10.0.0.0/8", "http://10.1.2.3:5000"),
        ("10.1.2.3", "http://10.1.2.3:5000"),
        ("10.1.2.3:5000", "http://10.1.2.3:5000"),
        ("fd00::/8", "http://[fd00::1]:5000"),
        ("[fd00::1]", "http://[fd00::1]:5000"),
        ("[fd00::1]:5000", "http://[fd00::1]:5000"),
        ("fd00::1", "http://[fd00::1]:5000"),
        ("", "http://localhost:5000"),
        ("", "http://127.0.0.1:5000"),
        ("", "http://[::1]:5000"),
    ],
)
def test_what_is_reached_directly(no_proxy: str, url: str) -> None:
    assert reached(no_proxy, url) is None


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", "https://quay.io"),
        (",", "https://quay.io"),
        ("quay.io", "https://notquay.io"),
        ("quay.io", "https://quay.io.example"),
        (".quay.io", "https://quay.io"),
        ("*.quay.io", "https://quay.io"),
        ("quay.io:8443", "https://quay.io"),
        ("10.0.0.0/8", "http://11.1.2.3"),
        ("10.0.0.0/8", "https://quay.io"),
        ("fd00::1:5000", "http://[fd00::1]:5000"),
        (".", "https://quay.io"),
    ],
)
def test_what_is_reached_through_the_proxy(no_proxy: str, url: str) -> None:
    assert reached(no_proxy, url) == PROXY


def test_each_scheme_has_a_variable_of_its_own() -> None:
    proxies = from_environment({"https_proxy": "secure", "http_proxy": "plain"})
    assert str(proxies.for_origin(Origin("https", "quay.io", 443))) == "secure:3128"
    assert str(proxies.for_origin(Origin("http", "quay.io", 80))) == "plain:3128"


def test_upper_case_counts_where_lower_case_is_not_there() -> None:
    origin = Origin("https", "quay.io", 443)
    assert str(from_environment({"HTTPS_PROXY": "upper"}).for_origin(origin)) == "upper:3128"
    both = from_environment({"HTTPS_PROXY": "upper", "https_proxy": "lower", "NO_PROXY": "example.com"})
    assert str(both.for_origin(origin)) == "lower:3128"


def test_without_variables_everything_is_direct() -> None:
    assert from_environment({"PATH": "/bin", "no_proxy": "x"}) == DIRECT
    assert DIRECT.for_origin(Origin("https", "quay.io", 443)) is None


def test_a_variable_that_is_no_proxy_is_named() -> None:
    with pytest.raises(ValueError, match=r"^the environment's https_proxy is not an HTTP proxy"):
        from_environment({"HTTPS_PROXY": "socks5://proxy"})


def test_a_proxy_that_is_written_down_is_for_everything() -> None:
    always = Proxies.always(PROXY)
    assert always.for_origin(Origin("http", "localhost", 80)) == PROXY


@given(st.text(), st.sampled_from(["https://quay.io", "http://10.0.0.1:5000", "http://[fd00::1]"]))
def test_any_list_decides(no_proxy: str, url: str) -> None:
    assert reached(no_proxy, url) in (None, PROXY)
