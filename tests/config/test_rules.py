from __future__ import annotations

import ipaddress

import pytest

from crproxy.config import ConfigError, Options, load
from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB, Registry, Tag
from crproxy.policy.rules import NO_RULE, Action, Rule, Subject
from tests.configs import loaded, mistake

NGINX = DOCKER_HUB.repository("library/nginx")
DIGEST = Digest.of(b"x")


def rules(text: str) -> list[Rule]:
    return list(loaded(text).rules.rules)


def test_without_any_nothing_is_asked_for() -> None:
    config = loaded()
    assert config.rules.rules == ()
    assert config.decide(Subject(NGINX)) is NO_RULE


def test_all_that_a_rule_says_is_read() -> None:
    (rule,) = rules("""
[[rules]]
name = "production"
images = ["docker.io/nginx", "quay.io/org/*", "*"]
registries = ["docker.io", "quay.io"]
networks = ["10.0.0.0/8", "2001:db8::/32"]
users = ["anna"]
message = "ask ops"
minimum_age = "72h"
digests = true
trust_created = true
pinned = true
enforce = false
""")
    assert rule == Rule(
        "production",
        frozenset({"docker.io/library/nginx", "quay.io/org/*", "*"}),
        frozenset({DOCKER_HUB, Registry("quay.io")}),
        (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32")),
        frozenset({"anna"}),
        message="ask ops",
        minimum_age=72 * 3600.0,
        digests=True,
        trust_created=True,
        pinned=True,
        enforce=False,
    )


def test_they_keep_their_order_and_have_names_of_their_own() -> None:
    text = '[[rules]]\n[[rules]]\nname = "b"\naction = "deny"\n[[rules]]\naction = "allow"'
    assert [(rule.name, rule.action) for rule in rules(text)] == [
        ("rule 1", Action.ALLOW),
        ("b", Action.DENY),
        ("rule 3", Action.ALLOW),
    ]


def test_every_registry_is_none_that_is_named() -> None:
    (rule,) = rules('[[rules]]\nregistries = ["*"]')
    assert rule.registries == frozenset()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('images = ["a b"]', "line 4: rules.images: 'a b' is no pattern"),
        ('registries = ["a b"]', "line 4: rules.registries: "),
        ('networks = ["office"]', "line 4: rules.networks: "),
        ('action = "drop"', 'line 4: rules.action: \'drop\' is none: write "allow" or "deny"'),
        ('minimum_age = "soon"', "line 4: rules.minimum_age: 'soon' is not a duration"),
        ("minimum_age = 72", "line 4: rules.minimum_age: "),
        ('require = "notary"', "line 4: rules.require: 'notary' is nothing that can be asked for"),
        ('name = ""', "line 4: rules.name: write a name"),
        (f'name = "{"x" * 61}"', "line 4: rules.name: write a name of up to 60 letters"),
        ('name = "a\\tb"', "line 4: rules.name: write a name"),
        ('name = "first"', "line 4: rules.name: another rule is called 'first' already"),
        ("digests = true", "line 4: rules.digests: it says something of a minimum_age, and there is none"),
        ("trust_created = true", "line 4: rules.trust_created: it says something of a minimum_age"),
        ("pinned = 1", "line 4: rules.pinned: "),
        ('image = ["quay.io"]', "line 4: rules.image: there is no such key; did you mean images?"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, told: str) -> None:
    assert mistake(f'[[rules]]\nname = "first"\n[[rules]]\n{text}').startswith(told)


@pytest.mark.parametrize("condition", ['minimum_age = "1h"', "pinned = true"])
def test_nothing_is_asked_of_what_is_refused(condition: str) -> None:
    told = mistake(f'[[rules]]\naction = "deny"\n{condition}')
    assert told.startswith("line 3: ")
    assert 'nothing that it is about is served, by action = "deny"' in told


def test_privileged_clients_and_images_are_above_rules() -> None:
    config = loaded("""
[clients]
privileged = ["192.0.2.0/24"]
privileged_images = ["quay.io/org/*"]
[[rules]]
name = "no"
action = "deny"
""")
    assert config.decide(Subject(NGINX, "192.0.2.7")) is NO_RULE
    assert config.decide(Subject(Registry("quay.io").repository("org/app"))) is NO_RULE
    rule = config.decide(Subject(NGINX, "10.0.0.1")).rule
    assert rule is not None
    assert rule.name == "no"
    assert not config.is_open(NGINX)


# [pins]


def test_pins_are_read_as_images_are_written() -> None:
    config = loaded(f"""
[pins]
nginx = "{DIGEST}"
"docker.io/library/nginx:1.27" = "{DIGEST}"
"registry.example:5000/team/app:v1" = "{DIGEST}"
""")
    assert config.pins == {
        (NGINX, Tag("latest")): DIGEST,
        (NGINX, Tag("1.27")): DIGEST,
        (Registry("registry.example:5000").repository("team/app"), Tag("v1")): DIGEST,
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('nginx = "latest"', "this is no digest"),
        ("nginx = 3", ""),
        (f'"nginx@{DIGEST}" = "{DIGEST}"', "this is no tag"),
        (f'"a b" = "{DIGEST}"', "this is no tag"),
        (
            f'nginx = "{DIGEST}"\n"docker.io/nginx:latest" = "{DIGEST}"',
            "it is pinned already, under another of its names",
        ),
    ],
)
def test_what_is_no_pin_is_told(line: str, told: str) -> None:
    said = mistake(f"[pins]\n{line}")
    assert said.startswith(f"line {1 + len(line.splitlines())}: pins.")
    assert told in said


def test_without_a_default_registry_each_pin_names_one() -> None:
    assert "this is no tag" in mistake(f'default_registry = ""\n[pins]\nnginx = "{DIGEST}"')


# [access] deny_digests_file


def test_denied_digests_are_read_with_the_configuration() -> None:
    text = '[access]\ndeny_digests_file = "/denied"'
    access = load(text, Options(), read_file={"/denied": f"{DIGEST} # bad\n"}.__getitem__).access
    assert access.denied_digests == frozenset({DIGEST})
    assert access.deny_digests_file == "/denied"
    with pytest.raises(ConfigError, match=r"line 2: access\.deny_digests_file: line 1: 'nginx' is no digest"):
        load(text, Options(), read_file={"/denied": "nginx"}.__getitem__)
