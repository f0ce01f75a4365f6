from __future__ import annotations

from dataclasses import fields, replace

import pytest

from crproxy.admin import paths
from crproxy.config import OptionError, Options, load
from crproxy.config.options import OPTIONS, Option
from crproxy.config.variables import CONFIG_VARIABLE, misspelled, variable_of, with_variables
from tests.configs import no_files

SAMPLES = {
    "domain": "cr.example.com",
    "alias": "corp=registry.corp.example hub.example.net=docker.io",
    "default-registry": "quay.io",
    "data-dir": "/srv/crproxy",
    "cache-size": "50G",
    "workers": "auto",
    "http": "tcp:1 tcp:2",
    "https": "tcp:443",
    "proxy": "tcp:3128",
    "certs": "/etc/crproxy/certs",
    "acme-directory": "letsencrypt-staging",
    "acme-email": "ops@example.com",
    "fleet-advertise": "https://10.0.0.5:5443",
    "log-level": "warning",
    "log-format": "json",
}
NAMED = [option for option in OPTIONS if option.key]


def by_name(name: str) -> Option:
    (found,) = (option for option in OPTIONS if option.name == name)
    return found


def as_said(option: Option, text: str) -> str | tuple[str, ...]:
    return tuple(text.split()) if option.repeated else text


@pytest.mark.parametrize("option", NAMED, ids=lambda option: option.name)
def test_every_option_can_be_given_by_a_variable(option: Option) -> None:
    text = SAMPLES[option.name]
    said = with_variables(Options(), {variable_of(option): text})
    assert dict(said.said()) == {option: as_said(option, text)}
    assert said.called(option.name) == variable_of(option)


def test_every_field_is_an_options() -> None:
    assert {option.field for option in NAMED} | {"sources"} == {each.name for each in fields(Options)}


def test_names_of_variables() -> None:
    assert variable_of(by_name("cache-size")) == "CRPROXY_CACHE_SIZE"
    # The command's own paths know these without loading all this.
    assert (CONFIG_VARIABLE, variable_of(by_name("data-dir"))) == (paths._CONFIG_VARIABLE, paths._DATA_VARIABLE)


def test_an_option_wins_over_its_variable_and_the_variable_over_the_file() -> None:
    environment = {"CRPROXY_DOMAIN": "b.example", "CRPROXY_HTTP": "tcp:2", "CRPROXY_CACHE_SIZE": "2G"}
    said = with_variables(Options(domain="c.example", http=("tcp:3",)), environment)
    config = load('domain = "a.example"\n[listen]\nhttp = ["tcp:1"]\n[cache]\nsize = "1G"', said, read_file=no_files)
    assert (config.names.domain, config.listen.http, config.cache.size) == ("c.example", ("tcp:3",), 2 * 1024**3)
    assert [said.called(name) for name in ("domain", "http", "cache-size")] == [
        "--domain",
        "--http",
        "CRPROXY_CACHE_SIZE",
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("CRPROXY_HTTPS", ("",)), ("CRPROXY_DOMAIN", ""), ("CRPROXY_DEFAULT_REGISTRY", ""), ("CRPROXY_CERTS", "")],
)
def test_an_empty_one_is_an_empty_option_where_that_says_something(variable: str, value: object) -> None:
    assert [said for _, said in with_variables(Options(), {variable: ""}).said()] == [value]


@pytest.mark.parametrize("name", ["CACHE_SIZE", "WORKERS", "DATA_DIR", "ALIAS", "ACME_DIRECTORY", "CONFIG"])
def test_else_it_is_as_if_it_were_not_there(name: str) -> None:
    assert list(with_variables(Options(), {f"CRPROXY_{name}": ""}).said()) == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CRPROXY_CACHE_SIZE", "big", "CRPROXY_CACHE_SIZE: 'big' is not a size"),
        ("CRPROXY_WORKERS", "many", "CRPROXY_WORKERS many: write the number of processes"),
        ("CRPROXY_DOMAIN", "localhost", "CRPROXY_DOMAIN: 'localhost' is not a domain"),
        ("CRPROXY_ALIAS", "quay", "CRPROXY_ALIAS quay: write LABEL=REGISTRY"),
        ("CRPROXY_ALIAS", "a.b=c/d", "CRPROXY_ALIAS a.b: 'c/d' is not a registry's name"),
        ("CRPROXY_HTTPS", "tcp:443", "CRPROXY_HTTPS: TLS needs a domain"),
        ("CRPROXY_PROXY", "haproxy:tcp:1", "CRPROXY_PROXY: 'haproxy:tcp:1' expects a PROXY header"),
        ("CRPROXY_ACME_EMAIL", "x", "CRPROXY_ACME_EMAIL: 'x' is no address"),
        ("CRPROXY_FLEET_ADVERTISE", "x", "CRPROXY_FLEET_ADVERTISE x: there is no [fleet]"),
    ],
)
def test_a_mistake_in_one_names_it(variable: str, value: str, said: str) -> None:
    with pytest.raises(OptionError) as raised:
        load("", with_variables(Options(), {variable: value}), read_file=no_files)
    assert str(raised.value).startswith(said)


def test_a_node_that_is_advertised_wrongly_is_told_by_its_option() -> None:
    text = '[fleet]\nvalkey = "redis://valkey"\nsecret_file = "/s"\nadvertise = "https://10.0.0.1:1"'
    with pytest.raises(OptionError) as raised:
        load(text, Options(fleet_advertise="http://x"), read_file=lambda _: "s" * 32)
    assert str(raised.value).startswith("--fleet-advertise http://x: other nodes must be told where to reach this one")


def test_what_is_meant_for_one_is_found() -> None:
    environment = {"CRPROXY_CACHESIZE": "1G", "CRPROXY_DOMIAN": "x", "CRPROXY_CONFIG": "/x", "CRPROXY_ADMIN": "/x"}
    assert dict(misspelled(environment)) == {
        "CRPROXY_CACHESIZE": "CRPROXY_CACHE_SIZE",
        "CRPROXY_DOMIAN": "CRPROXY_DOMAIN",
    }


def test_what_kubernetes_sets_for_a_service_of_our_name_is_not_ours() -> None:
    port = "CRPROXY_PORT_443_TCP"
    names = [f"{port}{end}" for end in ("", "_ADDR", "_PORT", "_PROTO")]
    names += ["CRPROXY_PORT", "CRPROXY_SERVICE_HOST", "CRPROXY_SERVICE_PORT", "CRPROXY_SERVICE_PORT_HTTPS", "PATH"]
    assert list(misspelled(dict.fromkeys(names, "x"))) == []


def test_options_are_words_of_a_command_line_again() -> None:
    options = with_variables(Options(domain="cr.test", aliases=("a=b", "c=d")), {"CRPROXY_HTTPS": ""})
    words = ("--domain=cr.test", "--alias=a=b", "--alias=c=d", "--https=")
    assert options.words() == words
    assert Options.of(words) == options
    newer = (*words, "--of-another-version=1", "--domain=cr.example")
    assert Options.of(newer) == replace(options, domain="cr.example")
