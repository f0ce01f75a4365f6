from __future__ import annotations

import pytest

from crproxy.policy.forms import form_token, is_form_token, is_from_here

KEY = bytes(range(32))
HOST = "cr.example.com"


def test_s34_a_token_is_for_one_user_with_one_password_and_one_key() -> None:
    tokens = [
        form_token(KEY, "alice", b"hash"),
        form_token(KEY, "alice", b"other"),
        form_token(KEY, "bob", b"hash"),
        form_token(KEY, None),
        form_token(KEY, ""),
        form_token(b"k", "alice", b"hash"),
    ]
    assert len(set(tokens)) == len(tokens)
    assert form_token(KEY, "alice", b"hash") == tokens[0]


@pytest.mark.parametrize("given", ["", "x", "\udc80", "é", form_token(KEY, "bob")])
def test_s34_another_token_is_none(given: str) -> None:
    expected = form_token(KEY, "alice")
    assert not is_form_token(given, expected)
    assert is_form_token(expected, expected)


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        (HOST, None, None),
        (HOST, f"https://{HOST}", "same-origin"),
        (HOST, f"https://{HOST.upper()}", None),
        ("localhost:5080", "http://localhost:5080", "same-origin"),
        (HOST, None, "none"),
    ],
)
def test_a_page_of_ours_may_ask(host: str, origin: str | None, site: str | None) -> None:
    assert is_from_here(host, origin, site)


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        (HOST, "https://evil.example", None),
        (HOST, f"https://{HOST}", "cross-site"),
        (HOST, f"https://{HOST}", "same-site"),
        (HOST, None, "cross-site"),
        (HOST, None, "whatever"),
        (HOST, "null", None),
        (HOST, "", None),
        (HOST, f"https://{HOST}.evil.example", None),
        (HOST, f"https://{HOST}:8443", None),
        (HOST, f"https://evil.example@{HOST}", None),
        (HOST, f"javascript://{HOST}", None),
        (HOST, "https://[", None),
        ("", "https://", None),
    ],
)
def test_s34_another_sites_page_may_not(host: str, origin: str | None, site: str | None) -> None:
    assert not is_from_here(host, origin, site)
