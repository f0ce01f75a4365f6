from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

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


# Several endpoints

HUB_TABLE = '[upstreams."docker.io"]\n'
HUB, MIRROR = "https://registry-1.docker.io", "https://mirror.example"
LOGIN = '\nusername = "me"\npassword = "secret"'


def hub(text: str, files: Mapping[str, str] | None = None) -> Upstream:
    read = no_files if files is None else files.__getitem__
    return load(HUB_TABLE + text, Options(), read_file=read).upstream(DOCKER_HUB)


def logins(upstream: Upstream) -> list[str | None]:
    return [endpoint.username for endpoint in upstream.endpoints]


@pytest.mark.parametrize("written", [f'"{MIRROR}/"', f'["{MIRROR}/"]'])
def test_one_endpoint_is_the_same_in_a_list(written: str) -> None:
    upstream = hub(f"endpoint = {written}{LOGIN}")
    assert upstream == hub(f'endpoint = "{MIRROR}"{LOGIN}')
    assert (upstream.endpoint, upstream.fallbacks, logins(upstream)) == (MIRROR, (), ["me"])


def test_several_are_asked_in_the_order_in_which_they_are_written() -> None:
    upstream = hub(
        f'endpoint = ["{MIRROR}", "{HUB}"]\nretries = 5\nkeepalive = false\nprivate_hosts = ["cdn.internal"]'
    )
    assert [each.endpoint for each in upstream.endpoints] == [MIRROR, HUB]
    assert [each.private_hosts for each in upstream.endpoints] == [
        {"mirror.example", "cdn.internal"},
        {"registry-1.docker.io", "cdn.internal"},
    ]
    assert {(each.retries, each.keepalive, each.trust_tags) for each in upstream.endpoints} == {(5, False, True)}
    assert upstream.fallbacks[0].fallbacks == ()


def test_an_endpoint_may_have_a_table_of_its_own() -> None:
    pem = trustme.CA().cert_pem.bytes().decode()
    files = {"/mirror.pem": pem, "/mirror.password": "theirs\n"}
    of_its_own = (
        'trust_tags = false, username = "puller", password_file = "/mirror.password", ca_file = "/mirror.pem", '
        'proxy = "inner", private_hosts = ["cdn.mirror"], token_hosts = ["Login.mirror"]'
    )
    text = f'endpoint = [\n  {{ url = "{MIRROR}", {of_its_own} }},\n  "{HUB}",\n]\ntoken_hosts = ["login.example"]'
    mirror, own = hub(text, files).endpoints
    assert (mirror.trust_tags, mirror.username, mirror.password, mirror.authorities) == (False, "puller", "theirs", pem)
    assert mirror.proxies == Proxies.always(parse_proxy("inner"))
    assert mirror.private_hosts == {"mirror.example", "cdn.mirror"}
    assert mirror.token_hosts == {"login.mirror"}
    assert (own.trust_tags, own.username, own.authorities, own.proxies) == (True, None, None, DIRECT)
    assert own.token_hosts == {"login.example"}


def test_so_may_each_of_an_array_of_tables() -> None:
    tables = "".join(f'[[upstreams."docker.io".endpoint]]\nurl = "{url}"\n' for url in (MIRROR, HUB))
    assert [each.endpoint for each in loaded(tables).upstream(DOCKER_HUB).endpoints] == [MIRROR, HUB]


@pytest.mark.security("S5")
@pytest.mark.parametrize(
    ("endpoints", "users"),
    [
        (f'"{MIRROR}", "{HUB}"', [None, "me"]),
        (f'"{HUB}", "{MIRROR}"', ["me", None]),
        (f'"{MIRROR}", "https://Registry-1.Docker.io:443/"', [None, "me"]),
        (f'{{ url = "{MIRROR}", username = "you", password = "x" }}, "{HUB}"', ["you", "me"]),
        (f'{{ url = "{MIRROR}" }}, "{HUB}"', [None, "me"]),
    ],
)
def test_a_registrys_login_is_for_its_own_host_alone(endpoints: str, users: list[str | None]) -> None:
    assert logins(hub(f"endpoint = [{endpoints}]{LOGIN}")) == users


@pytest.mark.security("S5")
@pytest.mark.parametrize(
    "endpoints",
    [
        f'"{MIRROR}", "https://other.example"',
        f'"{MIRROR}", {{ url = "{HUB}" }}',
        f'"{MIRROR}", "http://registry-1.docker.io"',
        f'"{MIRROR}", "https://registry-1.docker.io:8443"',
        f'"{MIRROR}", "https://registry-1.docker.io.evil.example"',
        f'{{ url = "{MIRROR}" }}',
    ],
)
def test_where_there_is_none_it_belongs_to_an_endpoint(endpoints: str) -> None:
    said = mistake(f"{HUB_TABLE}endpoint = [{endpoints}]{LOGIN}")
    assert said.startswith(f'line 3: upstreams."docker.io".username: of several endpoints it is for {HUB}')
    assert "write username and password_file into the endpoint's own table" in said
    assert "secret" not in said


@pytest.mark.parametrize("own", ["", ', token_hosts = ["login.mirror"]'])
def test_where_the_registrys_login_may_go_another_may_not(own: str) -> None:
    table = f'{{ url = "{MIRROR}", username = "you", password = "x"{own} }}'
    mirror, _ = hub(f'endpoint = [{table}, "{HUB}"]\ntoken_hosts = ["login.example"]').endpoints
    assert "login.example" not in mirror.token_hosts


@pytest.mark.parametrize(
    ("endpoints", "where", "what"),
    [
        ("[]", ":", "the list is empty: write URLs into it, or leave the key out"),
        ("1", ":", "this is a URL or a list of them"),
        ("[1]", ":", "this is a URL or a list of them"),
        (f'{{ url = "{MIRROR}" }}', ":", "this is a URL or a list of them"),
        (f'["{MIRROR}", "{MIRROR}/"]', ":", f"{MIRROR} is there twice: keep one of them"),
        (f'["{MIRROR}", "https://Mirror.example:443"]', ":", "https://Mirror.example:443 is there twice"),
        (f'["{MIRROR}", "mirror"]', ":", "'mirror' is not a registry's URL: write https://HOST"),
        (f'["{HUB}", {{ trust_tags = false }}]', ".url:", 'it is missing: write { url = "https://..." }'),
        (f'["{HUB}", {{ url = "x" }}]', ".url:", "'x' is not a registry's URL: write https://HOST"),
        (
            f'["{HUB}", {{ url = "{MIRROR}", trust = false }}]',
            ".trust:",
            "there is no such key; did you mean trust_tags?",
        ),
        (f'["{HUB}", {{ url = "{MIRROR}", username = "me" }}]', ".username:", "a username goes with a password"),
        (f'["{HUB}", {{ url = "{MIRROR}", password = 123 }}]', ".password:", "this is not a text"),
        (f'["{HUB}", {{ url = "{MIRROR}", trust_tags = "no" }}]', ".trust_tags:", "'no' is neither true nor false"),
        (
            f'[{{ url = "{MIRROR}", trust_tags = false }}]',
            ":",
            "nobody would say what a tag is: leave trust_tags = false out of one of the endpoints",
        ),
    ],
)
def test_a_mistake_in_a_list_is_told_with_its_line(endpoints: str, where: str, what: str) -> None:
    said = mistake(f"{HUB_TABLE}endpoint = {endpoints}\n")
    assert said.startswith(f'line 2: upstreams."docker.io".endpoint{where} {what}')


def test_clients_own_logins_are_for_one_endpoint() -> None:
    text = 'domain = "cr.example"\n[upstreams."docker.io"]\npassthrough = true\n'
    said = mistake(f'{text}endpoint = ["{MIRROR}", "{HUB}"]')
    assert said.startswith(
        'line 3: upstreams."docker.io".passthrough: clients\' own passwords are for the registry alone'
    )
    assert said.endswith("keep one of them")
    assert loaded(f'{text}endpoint = ["{HUB}"]').upstream(DOCKER_HUB).passthrough
    table = f'{{ url = "{HUB}", username = "me", password = "x" }}'
    assert "there is a username as well" in mistake(f"{text}endpoint = [{table}]")


# What names the logins

ANONYMOUS = Upstream(DOCKER_HUB, MIRROR)
MINE = Upstream(DOCKER_HUB, HUB, "me", "secret")
THEIRS = Upstream(DOCKER_HUB, MIRROR, "you", "other")


def test_the_credential_is_that_of_all_endpoints() -> None:
    together = replace(MINE, fallbacks=(THEIRS,))
    assert replace(ANONYMOUS, fallbacks=(ANONYMOUS,)).credential == ANONYMOUS.credential == ""
    assert len({MINE.credential, THEIRS.credential, together.credential, ""}) == 4
    assert replace(THEIRS, fallbacks=(MINE,)).credential == together.credential
    assert MINE.credential == MINE.login == together.login == "6caf4026"


def test_an_endpoint_without_a_login_changes_nothing_of_it() -> None:
    assert replace(ANONYMOUS, fallbacks=(MINE,)).credential == MINE.credential
    assert replace(MINE, fallbacks=(ANONYMOUS,)).credential == MINE.credential


@pytest.mark.security("S11")
def test_what_any_endpoint_has_a_login_for_is_not_everybodys() -> None:
    table = f'{{ url = "{MIRROR}", username = "you", password = "x" }}'
    config = loaded(f'{HUB_TABLE}endpoint = ["{HUB}", {table}]')
    assert not config.is_open(DOCKER_HUB.repository("library/busybox"))
    assert config.credential(DOCKER_HUB)


def test_no_password_is_shown() -> None:
    assert "secret" not in repr(replace(ANONYMOUS, fallbacks=(MINE,)))
