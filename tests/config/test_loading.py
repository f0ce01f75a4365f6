from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.config import Config, ConfigError, Listen, Options, Timeouts, Upstream, load
from crproxy.config.table import Table
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.routing import Names
from tests.configs import loaded, mistake, no_files
from tests.outcomes import outcome

QUAY = Registry("quay.io")


def test_nothing_at_all_is_local_mode() -> None:
    assert loaded() == Config(
        Names(None, {}, DOCKER_HUB), Listen(("tcp:5000:interface=127.0.0.1",), ()), {}, Timeouts(10.0, 30.0, 60.0)
    )


def test_a_whole_file() -> None:
    config = loaded(
        """
        domain = "CR.example.com."
        default_registry = "quay.io"

        [listen]
        http = ["tcp:8080", "unix:/run/crproxy.sock"]

        [timeouts]
        connect = "5s"
        headers = "500ms"
        idle = "2m"
        write = "3m"

        [upstreams."quay.io"]
        endpoint = "http://10.0.0.1:5000/"
        username = "user"
        password = "secret"
        retries = 0
        keepalive = false
        """
    )
    assert (config.names.domain, config.names.default_registry) == ("cr.example.com", QUAY)
    assert config.listen.http == ("tcp:8080", "unix:/run/crproxy.sock")
    assert config.timeouts == Timeouts(5.0, 0.5, 120.0, 180.0)
    assert config.upstreams == {
        QUAY: Upstream(
            QUAY, "http://10.0.0.1:5000", "user", "secret", 0, keepalive=False, private_hosts=frozenset({"10.0.0.1"})
        )
    }


def test_with_a_domain_the_port_is_80() -> None:
    assert loaded('domain = "cr.example.com"').listen.http == ("tcp:80",)
    assert loaded(domain="cr.example.com").listen.http == ("tcp:80",)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 30 * 86400),
        ('verify_every = "7d"', 7 * 86400),
        ('verify_every = "0"', None),
        ('verify_every = "off"', None),
    ],
)
def test_what_is_stored_is_read_again_in_time_or_never(text: str, seconds: float | None) -> None:
    assert loaded(f"[cache]\n{text}").cache.verify_every == seconds


def test_options_win_over_the_file() -> None:
    text = 'domain = "a.example.com"\ndefault_registry = "ghcr.io"\n[listen]\nhttp = ["tcp:1"]'
    config = loaded(text, domain="b.example.com", default_registry="quay.io", http=("tcp:2",))
    assert (config.names.domain, config.names.default_registry) == ("b.example.com", QUAY)
    assert config.listen.http == ("tcp:2",)


@pytest.mark.parametrize("config", [loaded('default_registry = ""'), loaded(default_registry="")])
def test_an_empty_default_registry_is_none(config: Config) -> None:
    assert config.names.default_registry is None


def test_an_empty_domain_is_local_mode() -> None:
    assert loaded('domain = "cr.example.com"', domain="").names.domain is None


def test_an_internationalised_domain_is_kept_as_the_host_header_has_it() -> None:
    assert loaded('domain = "cr.bücher.example"').names.domain == "cr.xn--bcher-kva.example"


def test_docker_hub_may_be_configured_under_any_of_its_names() -> None:
    config = loaded('[upstreams."index.docker.io"]\nretries = 7')
    assert config.upstream(DOCKER_HUB) == Upstream(DOCKER_HUB, "https://registry-1.docker.io", retries=7)


def test_a_large_blob_comes_over_four_connections_unless_it_is_said_otherwise() -> None:
    assert loaded().upstream(QUAY).connections == 4
    for number in (1, 16):
        assert loaded(f'[upstreams."quay.io"]\nconnections = {number}').upstream(QUAY).connections == number


def test_a_registry_without_a_table_is_reached_by_its_name() -> None:
    assert loaded().upstream(QUAY) == Upstream(QUAY, "https://quay.io")
    assert loaded().upstream(Registry("host:5000")).endpoint == "https://host:5000"
    assert loaded().upstream(DOCKER_HUB).endpoint == "https://registry-1.docker.io"
    assert loaded().upstream(QUAY).private_hosts == frozenset()


def test_a_table_without_an_endpoint_gives_no_leave_to_go_inside() -> None:
    assert loaded('[upstreams."quay.io"]\nretries = 1').upstream(QUAY).private_hosts == frozenset()


def test_private_hosts_are_the_written_endpoints_and_those_listed() -> None:
    text = '[upstreams."quay.io"]\nendpoint = "http://10.0.0.1:5000"\nprivate_hosts = ["Blobs.internal"]'
    assert loaded(text).upstream(QUAY).private_hosts == {"10.0.0.1", "blobs.internal"}


@pytest.mark.parametrize(("endpoint", "allow"), [("https://quay.io", False), ("http://quay.io", True)])
def test_http_is_allowed_where_the_endpoint_says_so(endpoint: str, allow: bool) -> None:
    assert Upstream(QUAY, endpoint).allow_http is allow


def test_a_password_is_read_from_its_file_without_its_last_line_end() -> None:
    text = '[upstreams."quay.io"]\nusername = "user"\npassword_file = "/etc/secret"'
    config = load(text, Options(), read_file={"/etc/secret": "pa:ss \n"}.__getitem__)
    assert config.upstream(QUAY).password == "pa:ss "


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Upstream(QUAY, "https://quay.io", "user", "secret"))


def test_a_password_file_that_cannot_be_read_is_told_with_its_line() -> None:
    def denied(path: str) -> str:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(ConfigError) as raised:
        load('[upstreams."quay.io"]\nusername = "u"\npassword_file = "/x"', Options(), read_file=denied)
    assert str(raised.value) == 'line 3: upstreams."quay.io".password_file: /x cannot be read: Permission denied'


def test_a_password_file_that_is_no_text_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r'^line 3: upstreams."quay.io".password_file: '):
        load(
            '[upstreams."quay.io"]\nusername = "u"\npassword_file = "/x"',
            Options(),
            read_file=lambda _: b"\xff".decode(),
        )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("domian = 'x'", "line 1: domian: there is no such key; did you mean domain?"),
        ("\n\nwhatever = 1", "line 3: whatever: there is no such key; known here: "),
        ("[listen]\nhttp = []\nhtpt = []", "line 3: listen.htpt: there is no such key; did you mean http?"),
        ("listen.htpt = []", "line 1: listen.htpt: there is no such key; did you mean http?"),
        ("[timeouts]\nidel = '1s'", "line 2: timeouts.idel: there is no such key; did you mean idle?"),
        (
            '[upstreams."quay.io"]\nretires = 1',
            'line 2: upstreams."quay.io".retires: there is no such key; did you mean retries?',
        ),
        ("[upstream]", "line 1: upstream: there is no such key; did you mean upstreams?"),
        ("domain = 1", "line 1: domain: 1 is not a text"),
        ('domain = "localhost"', "line 1: domain: 'localhost' is not a domain"),
        ('domain = "cr.example.com:443"', "line 1: domain: 'cr.example.com:443' is not a domain"),
        ('domain = "[::1]"', "line 1: domain: '[::1]' is not a domain"),
        ('domain = "-x.example"', "line 1: domain: '-x.example' is not a domain"),
        ('default_registry = "a b"', "line 1: default_registry: 'a b' is not a registry's name"),
        ("listen = 1", "line 1: listen: this is a table"),
        ("[listen]\nhttp = 'tcp:80'", "line 2: listen.http: this is a list of texts"),
        ("[listen]\nhttp = [80]", "line 2: listen.http: this is a list of texts"),
        ("[timeouts]\nidle = 60", "line 2: timeouts.idle: 60 is not a text"),
        ("[timeouts]\nidle = '60'", "line 2: timeouts.idle: '60' is not a duration"),
        ("[timeouts]\nidle = '0s'", "line 2: timeouts.idle: '0s' is no time at all"),
        ("[timeouts]\nidle = '0'", "line 2: timeouts.idle: '0' is not a duration"),
        ("[cache]\nverify_every = '0s'", "line 2: cache.verify_every: '0s' is no time at all"),
        ("[cache]\nverify_every = 'never'", "line 2: cache.verify_every: 'never' is not a duration"),
        ("[cache]\nverify_every = 0", "line 2: cache.verify_every: 0 is not a text"),
        ("[upstreams]\n'a b' = {}", "line 2: upstreams.\"a b\": 'a b' is not a registry's name"),
        ('[upstreams."quay.io"]\nretries = -1', 'line 2: upstreams."quay.io".retries: -1 is not a whole number'),
        ('[upstreams."quay.io"]\nretries = true', 'line 2: upstreams."quay.io".retries: True is not a whole number'),
        ('[upstreams."quay.io"]\nretries = 1.5', 'line 2: upstreams."quay.io".retries: 1.5 is not a whole number'),
        ('[upstreams."quay.io"]\nconnections = 0', 'line 2: upstreams."quay.io".connections: write a number from 1'),
        ('[upstreams."quay.io"]\nconnections = 17', 'line 2: upstreams."quay.io".connections: write a number from 1'),
        ('[upstreams."quay.io"]\nkeepalive = 1', 'line 2: upstreams."quay.io".keepalive: 1 is neither true nor false'),
        (
            '[upstreams."quay.io"]\nusername = "u"',
            'line 2: upstreams."quay.io".username: a username goes with a password',
        ),
        ('[upstreams."quay.io"]\npassword = "p"', 'upstreams."quay.io".username: a username goes with a password'),
        (
            '[upstreams."quay.io"]\nusername = "u"\npassword = "p"\npassword_file = "/x"',
            'line 4: upstreams."quay.io".password_file: there is a password as well',
        ),
        (
            '[upstreams."docker.io"]\n[upstreams."index.docker.io"]',
            'line 2: upstreams."index.docker.io": docker.io has a table already',
        ),
    ],
)
def test_a_mistake_is_told_with_its_key_its_line_and_what_to_write(text: str, where: str) -> None:
    assert mistake(text).startswith(where)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "quay.io",
        "ftp://quay.io",
        "https://",
        "https://user@quay.io",
        "https://quay.io?x",
        "https://quay.io#x",
        "https://quay.io:0",
        "https://quay.io:99999",
        "https://quay io",
        "https://[::1",
    ],
)
def test_an_endpoint_is_the_url_of_a_registry(url: str) -> None:
    # What may be a secret in it is left out.
    shown = url.replace("user@", "***@").replace("?x", "?***")
    assert mistake(f'[upstreams."quay.io"]\nendpoint = "{url}"').startswith(
        f'line 2: upstreams."quay.io".endpoint: {shown!r} is not a registry\'s URL'
    )


@pytest.mark.parametrize("text", ["domain", "domain = ", "[", "a = 1\na = 2", "domain = 'x", "\x00"])
def test_what_is_no_toml_says_so_with_its_line(text: str) -> None:
    assert mistake(text).startswith("this is not TOML: ")
    assert re.search(r"\(at (line \d+, column \d+|end of document)\)$", mistake(text))


@pytest.mark.parametrize("text", ["", 'fleet = "no table"'])
def test_a_node_is_advertised_where_there_is_a_fleet(text: str) -> None:
    message = mistake(text, fleet_advertise="https://10.0.0.5:5443")
    assert message == "--fleet-advertise https://10.0.0.5:5443: there is no [fleet] in the configuration file"


@pytest.mark.parametrize("written", ["", 'advertise = "https://192.0.2.1:5443"\n'])
def test_what_is_each_nodes_own_goes_into_the_table_that_is_the_same_on_all(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader need not know of the option."""
    read: list[object] = []

    def reads(top: Table, *_: object) -> Config:
        read.append(top.take("fleet"))
        return Config()

    monkeypatch.setattr("crproxy.config.loading._config", reads)
    load(f"[fleet]\n{written}", Options(fleet_advertise="https://[fd00::5]:5443"), read_file=no_files)
    assert read == [{"advertise": "https://[fd00::5]:5443"}]


def test_a_mistake_in_an_option_has_no_line() -> None:
    assert mistake("", domain="localhost").startswith("--domain: 'localhost' is not a domain")


def test_a_mistake_in_an_option_does_not_blame_a_line_of_the_file() -> None:
    assert mistake('domain = "cr.example.com"', domain="localhost").startswith("--domain: 'localhost' is not a domain")


LINES = st.lists(st.sampled_from(["", "# domian = 1", "default_registry = 'quay.io'"]), unique=True)


@given(LINES, LINES.map(lambda lines: [line for line in lines if not line.startswith("default")]))
def test_the_line_is_right_whatever_stands_around_it(before: list[str], after: list[str]) -> None:
    text = "\n".join([*before, "domian = 'x'", *after, "[listen]", "http = []"])
    assert mistake(text).startswith(f"line {len(before) + 1}: domian: ")


@given(st.text("[]\"'=.# \nabdhilnostu1{},", max_size=40))
def test_any_text_is_a_configuration_or_a_config_error(text: str) -> None:
    found = outcome(ConfigError, load, text, Options(), read_file=no_files)
    assert isinstance(found, Config) or str(found)


def test_a_data_directory_of_the_command_line_wins_over_the_files() -> None:
    assert loaded('data_dir = "/srv/file"', data_dir="/srv/option").data_dir == "/srv/option"
