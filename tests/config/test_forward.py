from __future__ import annotations

import pytest

from crproxy.config import Config, ConfigError, Forward, Options, Upstream, load
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.aliases import BUILT_IN
from crproxy.policy.connecting import HostPattern
from crproxy.policy.routing import Names

QUAY, CORP = Registry("quay.io"), Registry("registry.example.com")
DOMAIN = 'domain = "cr.test"\n'


def configured(text: str, *proxy: str, **said: str) -> Config:
    return load(text, Options(proxy=proxy, **said), read_file=str)  # type: ignore[arg-type]


def forward(*lines: str, proxy: tuple[str, ...] = ()) -> Forward:
    return configured("\n".join((DOMAIN, "[proxy]", *lines)), *proxy).forward


def refused(*lines: str, domain: str = DOMAIN, proxy: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as raised:
        configured("\n".join((domain, "[proxy]", *lines)), *proxy)
    return str(raised.value)


def test_without_a_word_there_is_none() -> None:
    for text in ("", "[proxy]", '[proxy]\nregistries = ["quay.io"]', "[proxy]\nlisten = []", '[proxy]\nlisten = [""]'):
        assert not configured(text).forward.is_on
    assert configured("").forward == Forward()


def test_where_it_listens_is_enough() -> None:
    assert forward('listen = ["tcp:3128", "unix:/run/proxy"]') == Forward(("tcp:3128", "unix:/run/proxy"))
    assert forward('listen_tls = ["tcp:3129"]') == Forward((), ("tcp:3129",))
    assert forward('listen = ["tcp:3128"]').is_on
    assert forward('listen_tls = ["tcp:3129"]').is_on


def test_all_of_it() -> None:
    lines = ('registries = ["quay.io", "Registry-1.Docker.io", "docker.io:443"]', 'tunnel = ["a.test", "*.B.test"]')
    assert forward('listen = ["tcp:1"]', *lines, 'tunnel_idle = "10m"') == Forward(
        ("tcp:1",),
        registries=frozenset({Registry("quay.io"), DOCKER_HUB}),
        tunnels=(HostPattern("a.test"), HostPattern("*.b.test")),
        idle=600,
    )


def test_the_command_line_wins_over_the_file() -> None:
    lines = ('listen = ["tcp:1"]', 'listen_tls = ["tcp:2"]')
    assert forward(*lines, proxy=("tcp:3", "tcp:4")) == Forward(("tcp:3", "tcp:4"), ("tcp:2",))
    assert forward(*lines, proxy=("",)) == Forward((), ("tcp:2",))
    assert configured("", "tcp:3").forward == Forward(("tcp:3",))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('listen = "tcp:3128"', "proxy.listen: this is a list of texts"),
        ("listen = [3128]", "proxy.listen: this is a list of texts"),
        ('listen = ["haproxy:tcp:3128"]', "proxy.listen: 'haproxy:tcp:3128' expects a PROXY header"),
        ('listen_tls = ["haproxy:tcp:3128"]', "proxy.listen_tls: 'haproxy:tcp:3128' expects a PROXY header"),
        ('registries = ["a b"]', "proxy.registries: 'a b' is not a registry's name"),
        ('registries = ["quay.io", "localhost:5000"]', "proxy.registries: localhost:5000 has a port of its own"),
        ('registries = ["com"]', "proxy.registries: com has no dot: a CA that may sign for it may sign for all names"),
        ('registries = ["*.pkg.dev"]', "proxy.registries: '*.pkg.dev' is not a registry's name"),
        ('registries = ["192.0.2.1"]', "proxy.registries: 192.0.2.1 is an address, and certificates are for names"),
        ('registries = ["[2001:db8::1]:5000"]', "proxy.registries: [2001:db8::1]:5000 is an address"),
        ('tunnel = ["*"]', "proxy.tunnel: '*' is no host's name: write one such as example.com, or *.example.com"),
        ('tunnel = ["192.0.2.1"]', "proxy.tunnel: '192.0.2.1' is no host's name"),
        ('tunnel = ["a.test:443"]', "proxy.tunnel: 'a.test:443' is no host's name"),
        ('tunnel = ["https://a.test"]', "proxy.tunnel: 'https://a.test' is no host's name"),
        ('tunnel_idle = "0s"', "proxy.tunnel_idle: '0s' is no time at all"),
        ("tunnel_idle = 5", "proxy.tunnel_idle: 5 is not a text"),
        ('tunnels = ["a.test"]', "proxy.tunnels: there is no such key; did you mean tunnel?"),
    ],
)
def test_a_mistake_is_told_with_its_line(line: str, what: str) -> None:
    said = refused(line)
    assert what in said
    assert said.startswith("line 4: ")


def test_one_on_the_command_line_is_told_as_well() -> None:
    assert "'haproxy:tcp:1' expects a PROXY header" in refused(proxy=("haproxy:tcp:1",))


@pytest.mark.parametrize("domain", ["", f"{DOMAIN}[listen]\nhttps = []\n"])
def test_tls_takes_the_certificate_of_a_domain(domain: str) -> None:
    """Which there is where clients that ask in other ways get TLS as well; no port is left closed without a word."""
    said = refused('listen_tls = ["tcp:3129"]', domain=domain)
    assert "proxy.listen_tls: its certificate is that of the domain: set domain, and let https listen" in said
    assert configured(f'{domain}[proxy]\nlisten = ["tcp:3128"]').forward.is_on


# What is answered


def test_what_has_an_alias_a_table_or_is_listed_is_answered() -> None:
    config = Config(
        Names("cr.test", {"quay.cr.test": QUAY}, DOCKER_HUB),
        upstreams={Registry("ghcr.io"): Upstream.public(Registry("ghcr.io"))},
        forward=Forward(registries=frozenset({CORP})),
    )
    assert config.answered == {QUAY, DOCKER_HUB, Registry("ghcr.io"), CORP}
    assert config.answered_hosts == {"quay.io", "ghcr.io", "registry.example.com", *DOCKER_HUB.hosts}


def test_what_no_ca_should_sign_for_is_not_answered_wherever_it_is_named() -> None:
    names = [Registry.parse(name) for name in ("registry", "192.0.2.1", "[2001:db8::1]", "quay.io:5000", "localhost")]
    config = Config(
        Names("cr.test", {f"{number}.cr.test": name for number, name in enumerate(names)}, names[0]),
        upstreams={name: Upstream.public(name) for name in names},
    )
    assert config.answered == frozenset()


def test_without_a_domain_it_is_what_would_have_an_alias() -> None:
    assert Config().answered == {*BUILT_IN.values(), DOCKER_HUB}


def test_one_with_a_port_of_its_own_is_none_to_connect_to() -> None:
    local = Registry("localhost:5000")
    config = Config(Names("cr.test", {"l.cr.test": local}, local), upstreams={local: Upstream.public(local)})
    assert config.answered == frozenset()
