from __future__ import annotations

import pytest
import trustme

from crproxy.config import Config, Options, Upstream, load
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.proxies import DIRECT, Proxies, parse_proxy
from tests.configs import loaded, mistake, no_files

QUAY = Registry("quay.io")
TABLE = '[upstreams."quay.io"]\n'
ENVIRONMENT = {"https_proxy": "http://outer:3128", "no_proxy": "intern.example"}
OUTER = Proxies(None, parse_proxy("outer"), ("localhost", "127.0.0.0/8", "::1", "intern.example"))


def behind(text: str = "") -> Config:
    return load(text, Options(), read_file=no_files, environment=ENVIRONMENT)


def test_the_environments_proxy_is_for_every_upstream() -> None:
    config = behind(TABLE + "retries = 1")
    assert config.upstream(QUAY).proxies == config.upstream(DOCKER_HUB).proxies == OUTER


def test_one_of_its_own_wins_and_an_empty_one_is_none() -> None:
    assert behind(TABLE + 'proxy = "inner"').upstream(QUAY).proxies == Proxies.always(parse_proxy("inner"))
    assert behind(TABLE + 'proxy = ""').upstream(QUAY).proxies == DIRECT


def test_a_mistake_in_the_environment_is_told() -> None:
    with pytest.raises(Exception, match=r"^the environment's https_proxy is not an HTTP proxy"):
        load("", Options(), read_file=no_files, environment={"https_proxy": "socks5://x"})


@pytest.mark.security("S29")
@pytest.mark.parametrize(
    ("text", "registry", "named"),
    [
        ("", "quay.io", True),
        ("", "registry.k8s.io", True),
        ("", "docker.io", True),
        ("", "registry.example.org", False),
        ('default_registry = "registry.example.org"', "registry.example.org", True),
        ('[upstreams."registry.example.org"]', "registry.example.org", True),
        ('[aliases]\n"a.example" = "registry.example.org"', "registry.example.org", True),
        ('[access]\nregistries = ["registry.example.org"]', "registry.example.org", True),
        ('[access]\nregistries = ["*", "registry.example.org"]', "registry.example.org", True),
        ('[access]\nregistries = ["*"]', "registry.example.org", False),
    ],
)
def test_registries_that_are_named_somewhere(text: str, registry: str, named: bool) -> None:
    """S29."""
    assert loaded(text).upstream(Registry.parse(registry)).named is named


def test_a_ca_is_for_the_endpoint_and_the_private_hosts() -> None:
    pem = trustme.CA().cert_pem.bytes().decode()
    text = TABLE + 'endpoint = "https://r.internal:5000"\nprivate_hosts = ["cdn.internal"]\nca_file = "/ca.pem"'
    upstream = load(text, Options(), read_file={"/ca.pem": pem}.__getitem__).upstream(QUAY)
    assert (upstream.authorities, upstream.own_hosts) == (pem, frozenset({"r.internal", "cdn.internal"}))
    assert Upstream.public(QUAY).own_hosts == {"quay.io"}


@pytest.mark.parametrize("pem", ["", "secret", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
def test_a_ca_file_holds_certificates(pem: str) -> None:
    with pytest.raises(Exception, match=r'^line 2: upstreams."quay.io".ca_file: there is no certificate in PEM'):
        load(TABLE + 'ca_file = "/ca.pem"', Options(), read_file=lambda _: pem)


def test_token_hosts_are_compared_without_case() -> None:
    assert loaded(TABLE + 'token_hosts = ["Login.Example"]').upstream(QUAY).token_hosts == {"login.example"}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('proxy = "socks5://x"', "proxy: this is not an HTTP proxy: write http://HOST:PORT"),
        ('username = "a:b"\npassword = "x"', "username: there is a colon in it"),
        ("token_hosts = 1", "token_hosts: this is a list of texts"),
    ],
)
def test_a_mistake_is_told_with_its_line(line: str, what: str) -> None:
    assert mistake(TABLE + line).startswith(f'line 2: upstreams."quay.io".{what}')


def test_an_empty_list_of_registries_is_a_mistake() -> None:
    assert mistake("[access]\nregistries = []").startswith("line 2: access.registries: this would serve nothing")
