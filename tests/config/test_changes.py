from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.config import Config, Options, load
from crproxy.config.changes import changes

HASHES = {"old": f"$2y$05${'e' * 53}", "new": f"$2y$05${'u' * 53}"}
ONE, TWO = (f"sha256:{letter * 64}" for letter in "ab")
SECRETS = ["hunter2", "swordfish", *HASHES.values()]


def read(text: str, **files: str) -> Config:
    return load(text, Options(), read_file=lambda path: files[path])


def told(before: str, after: str) -> str:
    return "; ".join(changes(read(before), read(after)))


def test_nothing_is_nothing() -> None:
    assert changes(Config(), Config()) == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            '[upstreams."b.example"]\nendpoint = "https://b.example"',
            '[upstreams."b.example"]\nendpoint = ["https://m.example", "https://b.example"]\nretries = 5',
            "[upstreams]: b.example changed (endpoint, retries, private_hosts)",
        ),
        (
            '[upstreams."b.example"]\nendpoint = ["https://m.example", "https://b.example"]',
            '[upstreams."b.example"]\nendpoint = ["https://m.example", { url = "https://b.example", username = "me", '
            'password = "hunter2", trust_tags = false }]',
            "[upstreams]: b.example changed (endpoint)",
        ),
        ("", 'default_registry = "quay.io"', "names: default_registry docker.io -> quay.io"),
        ('default_registry = ""', "", "names: default_registry none -> docker.io"),
        (
            'domain = "cr.test"\n[aliases]\na = "a.example"\nb = "b.example"',
            'domain = "cr.test"\n[aliases]\na = "x.example"\nc = "c.example"\nd = "d.example"',
            "[aliases]: added c.cr.test d.cr.test, removed b.cr.test, a.cr.test a.example -> x.example",
        ),
        (
            '[upstreams."a.example"]\nretries = 1\n[upstreams."b.example"]\npassword = "hunter2"\nusername = "me"',
            '[upstreams."c.example"]\n[upstreams."b.example"]\npassword = "swordfish"\nusername = "me"\nretries = 5',
            "[upstreams]: added c.example, removed a.example, b.example changed (password, retries)",
        ),
        (
            '[access]\nallow = ["docker.io/*"]',
            '[access]\nregistries = ["quay.io"]\nallow = ["quay.io/*", "ghcr.io"]\ndeny = ["a.io"]\nmessage = "no"',
            "[access]: registries any -> 1, message changed, allow 1 -> 2, deny 0 -> 1",
        ),
        (
            '[[rules]]\nname = "a"\n[[rules]]\nname = "b"\n[[rules]]\nname = "gone"',
            '[[rules]]\nname = "b"\nminimum_age = "1h"\n[[rules]]\nname = "a"\n[[rules]]\nname = "new"',
            "[[rules]]: added 'new', removed 'gone', changed 'b', in another order",
        ),
        (
            f'[pins]\nnginx = "{ONE}"\n"quay.io/a:v1" = "{ONE}"',
            f'[pins]\nnginx = "{TWO}"\n"quay.io/a:v2" = "{ONE}"',
            f"[pins]: added quay.io/a:v2, removed quay.io/a:v1, docker.io/library/nginx:latest {ONE} -> {TWO}",
        ),
        ('[access]\nallow = ["quay.io/a"]', '[access]\nallow = ["quay.io/b"]', "[access]: allow changed"),
        (
            '[limits]\nper_client = "50M/s"',
            '[limits]\nper_client = "20M/s"\ntotal = "1M/s"\nrequests_per_client = "60/m"\nfills_per_client = 1',
            "[limits]: per_client 50 MiB/s -> 20 MiB/s, total none -> 1 MiB/s, "
            "requests_per_client none -> 60 in a minute, fills_per_client 128 -> 1",
        ),
        ("", '[page]\nstate = true\nredirect = "https://a.example/"', "[page]: redirect changed, state False -> True"),
        ("", '[audit]\nfile = "/x"\nformat = "combined"', "[audit]: file changed, format changed"),
        (
            '[proxy]\nregistries = ["quay.io"]\ntunnel = ["a.test", "*.b.test"]',
            '[proxy]\nregistries = ["ghcr.io"]\ntunnel = ["*.b.test", "c.test"]\ntunnel_idle = "10m"',
            "[proxy]: registries added ghcr.io, registries removed quay.io, "
            "tunnel added c.test, tunnel removed a.test, tunnel_idle 5 min -> 10 min",
        ),
    ],
)
def test_what_is_different_is_told(before: str, after: str, words: str) -> None:
    assert told(before, after) == words


def users(**hashes: str) -> Config:
    lines = "".join(f"{name}:{HASHES[which]}\n" for name, which in hashes.items())
    return read('[clients]\nhtpasswd = "users"', users=lines)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            users(alice="old", bob="old", carol="old"),
            users(bob="new", carol="old", dave="old"),
            "[clients]: users added dave, users removed alice, passwords changed of bob",
        ),
        (Config(), users(alice="old"), "[clients]: login turned on, users: 1"),
        (users(alice="old"), Config(), "[clients]: login turned off"),
    ],
)
def test_users_are_told_by_name(before: Config, after: Config, words: str) -> None:
    assert "; ".join(changes(before, after)) == words


TEXTS: list[Any] = [
    "",
    '[upstreams."b.example"]\npassword = "hunter2"\nusername = "me"',
    '[upstreams."b.example"]\npassword = "swordfish"\nusername = "me"\nproxy = "http://u:hunter2@p.example:1"',
    '[page]\nredirect = "https://a.example/?token=hunter2"',
    '[access]\nmessage = "hunter2"',
    '[proxy]\nregistries = ["quay.io"]',
    '[proxy]\ntunnel = ["a.test"]\ntunnel_idle = "1s"',
]


@given(
    st.sampled_from([*map(read, TEXTS), users(a="old"), users(a="new")]),
    st.sampled_from([*map(read, TEXTS), users(a="old")]),
)
def test_what_is_different_is_told_without_secrets(before: Config, after: Config) -> None:
    """And anything at all is told exactly where the two are different."""
    words = changes(before, after)
    assert bool(words) == (before != after)
    assert not [secret for secret in SECRETS if secret in str(words)]
