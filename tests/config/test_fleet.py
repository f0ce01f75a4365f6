from __future__ import annotations

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from crproxy.config import Config, ConfigError, Fleet, Options, ValkeyAddress, load
from tests.outcomes import outcome

SECRET = "0123456789abcdef" * 2
FILES = {
    "secret": f"{SECRET}\n",
    "short": "too short\n",
    "password": "a:b/c \n",
    "ca": trustme.CA().cert_pem.bytes().decode(),
    "nonsense": "no certificate",
}


def read(path: str) -> str:
    if path not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[path]


def configured(text: str) -> Config:
    return load(text, Options(), read_file=read)


def fleet(valkey: str = "redis://valkey", *lines: str, advertise: str = "https://10.0.0.5:5443") -> Fleet:
    found = configured(
        table(f'valkey = "{valkey}"', f'advertise = "{advertise}"', 'secret_file = "secret"', *lines)
    ).fleet
    assert found is not None
    return found


def table(*lines: str) -> str:
    return "\n".join(("[fleet]", *lines))


def refused(*lines: str) -> str:
    error = outcome(ConfigError, configured, table(*lines))
    assert isinstance(error, ConfigError)
    return str(error)


def test_without_a_word_there_is_none() -> None:
    assert configured("").fleet is None
    assert configured("[fleet]").fleet is None


def test_what_has_to_be_said_is_enough() -> None:
    assert fleet() == Fleet(
        ValkeyAddress("valkey", 6379), "https://10.0.0.5:5443", ("tcp:5443",), SECRET, "10.0.0.5:5443", "crproxy"
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://valkey:7000/3", ValkeyAddress("valkey", 7000, database=3)),
        ("valkey://valkey/", ValkeyAddress("valkey", 6379)),
        ("rediss://valkey", ValkeyAddress("valkey", 6379, tls=True)),
        ("valkeys://[2001:db8::1]:7000", ValkeyAddress("2001:db8::1", 7000, tls=True)),
        ("redis://u:p%40%3A@valkey", ValkeyAddress("valkey", 6379, username="u", password="p@:")),
        ("redis://:p@valkey", ValkeyAddress("valkey", 6379, password="p")),
        ("unix:///run/valkey.sock", ValkeyAddress(path="/run/valkey.sock")),
        ("unix:///run/val%20key.sock?db=4", ValkeyAddress(path="/run/val key.sock", database=4)),
    ],
)
def test_where_valkey_is(url: str, address: ValkeyAddress) -> None:
    assert fleet(url).valkey == address


def test_a_password_may_be_in_a_file() -> None:
    assert fleet("redis://u@valkey", 'valkey_password_file = "password"').valkey.password == "a:b/c "
    assert fleet("redis://valkey", 'valkey_password_file = "password"').valkey.username is None


def test_a_ca_of_ones_own_may_be_trusted() -> None:
    assert fleet("rediss://valkey", 'valkey_ca_file = "ca"').valkey.authorities == FILES["ca"]


def test_the_rest_may_be_said() -> None:
    found = fleet("redis://valkey", 'name = "node-1"', 'listen = ["tcp:1", "unix:/run/x"]', 'prefix = "a:b"')
    assert (found.name, found.listen, found.prefix) == ("node-1", ("tcp:1", "unix:/run/x"), "a:b")


@pytest.mark.parametrize(
    ("advertise", "url", "listen", "name"),
    [
        ("https://Node-1.example/", "https://node-1.example", "tcp:443", "node-1.example:443"),
        ("https://[::1]:5443", "https://[::1]:5443", "tcp6:5443", "[::1]:5443"),
    ],
)
def test_what_follows_from_the_advertised_url(advertise: str, url: str, listen: str, name: str) -> None:
    found = fleet(advertise=advertise)
    assert (found.advertise, found.listen, found.name) == (url, (listen,), name)


WHERE = 'valkey = "redis://v"'
WHO = 'advertise = "https://n:1"'
KNOWN = 'secret_file = "secret"'
PASSWORD = 'valkey_password_file = "password"'


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        ((WHO, KNOWN), "valkey", "redis://valkey:6379/0"),
        ((WHERE, KNOWN), "advertise", "https://10.0.0.5:5443"),
        ((WHERE, WHO), "secret_file", "the same secret on every node"),
        ((WHERE, WHO, 'secret_file = "short"'), "secret_file", "less than 32 bytes"),
        ((WHERE, WHO, 'secret_file = "none"'), "secret_file", "No such file"),
        (('valkey = "redis://u@v"', WHO, KNOWN), "valkey", "no password"),
        (
            ('valkey = "redis://:p@v"', WHO, KNOWN, 'valkey_password_file = "password"'),
            "valkey_password_file",
            "keep one",
        ),
        ((WHERE, WHO, KNOWN, 'valkey_ca_file = "ca"'), "valkey_ca_file", "rediss://"),
        (('valkey = "rediss://v"', WHO, KNOWN, 'valkey_ca_file = "nonsense"'), "valkey_ca_file", "PEM"),
        ((WHERE, WHO, KNOWN, 'name = ""'), "name", "node-1"),
        ((WHERE, WHO, KNOWN, 'name = "a b"'), "name", "node-1"),
        ((WHERE, WHO, KNOWN, f'name = "{"n" * 101}"'), "name", "100"),
        ((WHERE, WHO, KNOWN, 'prefix = "{x}"'), "prefix", "letters"),
        ((WHERE, WHO, KNOWN, 'listen = ["5443"]'), "listen", "tcp:5443"),
        ((WHERE, WHO, KNOWN, 'listen = ["haproxy:tcp:1"]'), "listen", "tcp:5443"),
        ((WHERE, WHO, KNOWN, 'listn = ["tcp:1"]'), "listn", "did you mean listen"),
    ],
)
def test_a_mistake_names_its_key(lines: tuple[str, ...], key: str, words: str) -> None:
    said = refused(*lines)
    assert f"fleet.{key}: " in said
    assert words in said


@pytest.mark.parametrize(
    "url",
    [
        "",
        "valkey:6379",
        "http://valkey",
        "redis://",
        "redis://valkey:0",
        "redis://valkey:x",
        "redis://valkey:70000",
        "redis://valkey/x",
        "redis://valkey/-1",
        "redis://valkey/0/1",
        "redis://valkey?db=1",
        "redis://valkey/99999999999",
        "redis://valkey/0#x",
        "redis://val key",
        "redis://[::1",
        "unix://host/run/x",
        "unix:run/x",
        "unix:///run/x?database=1",
    ],
)
def test_what_is_no_place_to_meet(url: str) -> None:
    assert "fleet.valkey: " in refused(f'valkey = "{url}"', WHO, KNOWN)


@pytest.mark.parametrize("url", ["http://n:1", "n:1", "https://n/x", "https://u@n", "https://n?x", "https://n#x", ""])
def test_what_no_node_can_be_reached_at(url: str) -> None:
    assert "fleet.advertise: " in refused(WHERE, f'advertise = "{url}"', KNOWN)


@given(st.text("redis:/valkey@0?#[]%.x -", max_size=30))
def test_no_url_leads_to_anything_but_an_address_or_a_mistake(url: str) -> None:
    found = outcome(ConfigError, configured, table(f"valkey = '{url}'", WHO, KNOWN))
    assert isinstance(found, ConfigError | Config)


@given(st.text("abcdefgh", min_size=8))
def test_no_password_is_in_an_error(password: str) -> None:
    for url in (f"redis://u:{password}@v:x", f"http://u:{password}@v", f"redis://u:{password}@v/x"):
        assert password not in refused(f'valkey = "{url}"', WHO, KNOWN)


def test_nothing_secret_is_in_a_repr() -> None:
    shown = repr(fleet("redis://u:hush@v"))
    assert SECRET not in shown
    assert "hush" not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [("redis://u:p@v:7", "v:7"), ("redis://[::1]:7", "[::1]:7"), ("unix:///run/v.sock", "/run/v.sock")],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert str(fleet(url).valkey) == shown
