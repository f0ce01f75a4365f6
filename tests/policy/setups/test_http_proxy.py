"""The proxy as its clients see it: its URL, what is asked without it, and the files of its CAs."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.setups import Anchor, HttpProxy, Login
from crproxy.policy.setups.http_proxy import DEBIAN, anchors_of, trusting

FIRST = Anchor("-----FIRST-----\n", "AB:CD:EF:01:23", ("ghcr.io", "docker.io"))
SECOND = Anchor("-----SECOND-----\n", "12:34:56:78:9A", ("ghcr.io", "quay.io"))
PROXY = HttpProxy("cr.example.com:3128", False, (FIRST,))

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}(\.[a-z]{1,8}){1,3}", fullmatch=True)


def test_it_has_a_url_by_which_it_is_asked() -> None:
    assert PROXY.url == "http://cr.example.com:3128"
    assert replace(PROXY, secure=True).url == "https://cr.example.com:3128"
    assert replace(PROXY, login=Login("alice")).url == "http://alice:PASSWORD@cr.example.com:3128"


@given(st.text("ab@/:%?#[] é'\"$\\", min_size=1).filter(lambda user: ":" not in user), st.text(min_size=1))
def test_whatever_the_password_is_the_url_says_it(user: str, password: str) -> None:
    url = replace(PROXY, login=Login(user, password)).url
    parts = urlsplit(url)
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("cr.example.com", 3128, "", "")
    assert unquote(parts.username or "", errors="strict") == user
    assert unquote(parts.password or "", errors="strict") == password
    assert url.isascii()
    assert not set(url) & set(" \"'\\$`,;<>{}|\n")


@pytest.mark.parametrize("host", ["localhost:3128", "127.0.0.1:3128", "[::1]:3128"])
def test_it_may_be_on_the_clients_machine(host: str) -> None:
    assert HttpProxy(host, False, (FIRST,)).is_loopback
    assert not PROXY.is_loopback


def test_the_proxy_itself_and_what_is_near_is_asked_directly() -> None:
    assert PROXY.direct.split(",") == [
        "localhost",
        "127.0.0.1",
        "::1",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        ".local",
        ".internal",
        ".svc",
        "cr.example.com",
    ]
    assert HttpProxy("[2001:db8::7]:3128", False, (FIRST,)).direct.endswith(",.svc,2001:db8::7")
    assert HttpProxy("127.0.0.1:3128", False, (FIRST,)).direct.endswith(",.svc")


@pytest.mark.parametrize(
    ("name", "host", "left_out"),
    [
        ("registry.corp.internal", "proxy.test:1", ".internal"),
        ("harbor.local", "proxy.test:1", ".local"),
        ("registry.kube-system.svc", "proxy.test:1", ".svc"),
        ("registry.cr.test", "cr.test:3128", "cr.test"),
        ("cr.test", "cr.test:3128", "cr.test"),
    ],
)
def test_but_nothing_that_a_registry_is_below(name: str, host: str, left_out: str) -> None:
    """Or it would be asked past the proxy, which answers for it."""
    proxy = HttpProxy(host, False, (replace(FIRST, names=("ghcr.io", name)),))
    others = set(replace(proxy, anchors=(FIRST,)).direct.split(","))
    assert set(proxy.direct.split(",")) == others - {left_out}


def _go_asks_directly(no_proxy: str, host: str) -> bool:
    """As golang.org/x/net/http/httpproxy has it for a name: an entry stands for itself and all below it."""
    entries = [entry for entry in no_proxy.split(",") if "/" not in entry]
    return any(host == entry.lstrip(".") or host.endswith("." + entry.lstrip(".")) for entry in entries)


@given(st.lists(NAMES, min_size=1), NAMES)
def test_no_name_that_it_answers_for_is_ever_asked_directly(names: list[str], host: str) -> None:
    proxy = HttpProxy(f"{host}:3128", False, (replace(FIRST, names=tuple(names)),))
    assert not [name for name in names if _go_asks_directly(proxy.direct, name)]


def test_it_answers_for_what_any_of_its_cas_may_sign() -> None:
    assert replace(PROXY, anchors=(FIRST, SECOND)).names == ("docker.io", "ghcr.io", "quay.io")


def test_each_ca_has_a_file_of_its_own() -> None:
    """OpenSSL finds one in each, by a hash in the file's name."""
    files = anchors_of(replace(PROXY, anchors=(FIRST, SECOND)))
    assert [file.path for file in files] == [
        "/usr/local/share/ca-certificates/crproxy-abcdef01.crt",
        "/usr/local/share/ca-certificates/crproxy-12345678.crt",
    ]
    assert [file.text for file in files] == [FIRST.pem, SECOND.pem]


def test_people_are_told_which_it_is_and_where_other_systems_have_it() -> None:
    *told, command = trusting(replace(PROXY, anchors=(FIRST, SECOND)))
    assert [line.rpartition(" ")[2] for line in told[:2]] == [FIRST.fingerprint, SECOND.fingerprint]
    assert "/etc/pki/ca-trust/source/anchors" in told[2]
    assert "update-ca-trust" in told[2]
    assert "Alpine" in DEBIAN.name
    assert command == "update-ca-certificates"
    assert all(line.startswith("# ") for line in told)
