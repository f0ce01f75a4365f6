from __future__ import annotations

import ipaddress

import pytest

from crproxy.config import Config, Options, load
from crproxy.config.changes import changes
from crproxy.config.checking import check
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Tag
from crproxy.policy.rules import Action, Rule
from crproxy.signatures import Identity
from tests.configs import loaded, mistake
from tests.signing import Signer

A = Digest.of(b"a")
DOCKER, QUAY = Registry("docker.io"), Registry("quay.io")
ISSUER = "https://accounts.google.com"


def with_files(text: str, **files: str) -> Config:
    return load(text, Options(), read_file=files.__getitem__)


def test_a_rule_is_read_with_all_that_it_says() -> None:
    config = loaded("""
        [[rules]]
        name = "all of it"
        images = ["docker.io/nginx", "quay.io/org/*"]
        registries = ["docker.io", "quay.io"]
        networks = ["192.0.2.0/24"]
        users = ["alice"]
        message = "ask ops"
        minimum_age = "72h"
        digests = true
        trust_created = true
        pinned = true
        enforce = false

        [[rules]]
        action = "deny"
    """)
    assert config.rules.rules == (
        Rule(
            "all of it",
            frozenset({"docker.io/library/nginx", "quay.io/org/*"}),
            frozenset({DOCKER, QUAY}),
            (ipaddress.ip_network("192.0.2.0/24"),),
            frozenset({"alice"}),
            message="ask ops",
            minimum_age=72 * 3600.0,
            digests=True,
            trust_created=True,
            pinned=True,
            enforce=False,
        ),
        Rule("rule 2", action=Action.DENY),
    )


def test_whose_signatures_count_is_read_with_its_files() -> None:
    signer = Signer()
    text = f"""
        [[rules]]
        require = "cosign"
        keys = ["key"]
        identities = [{{ subject = "a@example.com", issuer = "{ISSUER}" }}]
    """
    (rule,) = with_files(text, key=signer.public).rules.rules
    assert rule.trust is not None
    assert len(rule.trust.keys) == 1
    assert rule.trust.identities == (Identity("a@example.com", ISSUER),)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('images = ["a b"]', 5, "'a b' is no pattern"),
        ('registries = ["a b"]', 5, "rules.registries"),
        ('networks = ["x"]', 5, "'x' is no network"),
        ('action = "perhaps"', 5, 'write "allow" or "deny"'),
        ('minimum_age = "soon"', 5, "rules.minimum_age"),
        ("minimum_age = 72", 5, "is not a text"),
        ("minimum_agee = 72", 5, "did you mean minimum_age?"),
        ('action = "deny"\nminimum_age = "1h"', 6, "leave one of the two out"),
        ('action = "deny"\npinned = true', 6, "leave one of the two out"),
        ("digests = true", 5, "it says something of a minimum_age, and there is none"),
        ("trust_created = true", 5, "it says something of a minimum_age, and there is none"),
        ('require = "notary"', 5, 'write "cosign"'),
        ('require = "cosign"', 5, "nobody's signature would do"),
        ('keys = ["key"]', 5, 'write require = "cosign"'),
        ('require = "cosign"\nkeys = ["no"]', 6, "cannot be read"),
        ('require = "cosign"\nkeys = ["text"]', 6, "rules.keys"),
        ('require = "cosign"\nidentities = [{ subject = "a" }]', 6, "has no issuer"),
        ('name = " "', 5, "write a name of up to 60 letters"),
        ('name = "first"', 5, "another rule is called 'first' already"),
    ],
)
def test_a_mistake_names_its_line(text: str, line: int, words: str) -> None:
    def read_file(path: str) -> str:
        if path == "no":
            raise FileNotFoundError(2, "No such file or directory", path)
        return "some text"

    whole = f'[[rules]]\nname = "first"\n\n[[rules]]\n{text}\n'
    faults = check(whole, Options(), read_file=read_file).faults
    assert any(str(fault).startswith(f"line {line}: ") and words in str(fault) for fault in faults)


def test_rules_are_a_list_of_tables() -> None:
    assert "write the keys of each below [[rules]]" in mistake("[rules]\nname = 'x'")


def test_pins_are_read_by_the_names_that_people_write() -> None:
    config = loaded(f'[pins]\n"nginx:1.27" = "{A}"\n"quay.io/org/app" = "{A}"\n')
    assert config.pins == {
        (DOCKER.repository("library/nginx"), Tag("1.27")): A,
        (QUAY.repository("org/app"), Tag("latest")): A,
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'"nginx@{A}" = "{A}"', "this is no tag"),
        (f'"Nginx" = "{A}"', "this is no tag"),
        (f'"nginx:-" = "{A}"', "this is no tag"),
        ('"nginx" = "1.27"', "this is no digest"),
        (f'"nginx" = "{A}"\n"docker.io/library/nginx:latest" = "{A}"', "it is pinned already"),
    ],
)
def test_a_pin_that_is_none_is_told(text: str, words: str) -> None:
    assert words in mistake(f"[pins]\n{text}")


def test_without_a_registry_for_names_without_one_a_pin_names_it() -> None:
    assert "this is no tag" in mistake(f'default_registry = ""\n[pins]\n"nginx" = "{A}"')


def test_a_reload_tells_of_rules_and_pins() -> None:
    before, after = loaded("[[rules]]\nname = 'a'\n"), loaded(f'[[rules]]\nname = "b"\n[pins]\n"nginx" = "{A}"\n')
    assert changes(before, after) == [
        "[[rules]]: added 'b', removed 'a'",
        "[pins]: added docker.io/library/nginx:latest",
    ]
    changed = loaded("[[rules]]\nname = 'a'\nminimum_age = '1h'\n")
    assert changes(before, changed) == ["[[rules]]: changed 'a'"]
    two, turned = loaded("[[rules]]\n[[rules]]\naction='deny'"), loaded("[[rules]]\naction='deny'\n[[rules]]\n")
    assert changes(two, turned) == ["[[rules]]: changed 'rule 1' 'rule 2'"]


def test_the_file_of_digests_that_are_denied_is_read_and_a_mistake_in_it_told() -> None:
    text = '[access]\ndeny_digests_file = "list"\n'
    config = with_files(text, list=f"# bad\n{A} CVE\n\n")
    assert (config.access.deny_digests_file, config.access.denied_digests) == ("list", frozenset({A}))
    (fault,) = check(text, Options(), read_file=lambda _: "sha256:12").faults
    assert "line 2: access.deny_digests_file: line 1: 'sha256:12' is no digest" in str(fault)
