from __future__ import annotations

from ipaddress import ip_network

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.config import Config, ConfigError, Options, load
from crproxy.config.client_values import Clients
from crproxy.oci.names import DOCKER_HUB, Registry
from tests.configs import loaded, mistake
from tests.outcomes import outcome

NAMED = '[clients]\nhtpasswd = "/htpasswd"'
ALICE = bcrypt.hashpw(b"alice's", b"$2b$04$" + b"a" * 21 + b"e")
BOB = bcrypt.hashpw(b"bob's", b"$2b$04$" + b"a" * 21 + b"e").replace(b"$2b$", b"$2y$")
LINES = f"alice:{ALICE.decode()}", f"bob:{BOB.decode()}"


def read(htpasswd: str, text: str = NAMED) -> Config:
    return load(text, Options(), read_file={"/htpasswd": htpasswd}.__getitem__)


def refused(htpasswd: str, text: str = NAMED) -> str:
    with pytest.raises(ConfigError) as raised:
        read(htpasswd, text)
    return str(raised.value)


def test_without_a_file_everybody_is_served() -> None:
    assert loaded().clients == Clients(None, 300.0, True)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "end"])
def test_users_stand_in_an_htpasswd_file(end: str, last: str) -> None:
    text = end.join(["# users", "", LINES[0], "   ", f"  {LINES[1]}  ", "#eve:x"]) + (end if last else "")
    assert read(text).clients.users == {"alice": ALICE, "bob": BOB}


@pytest.mark.parametrize("version", ["2a", "2b", "2x", "2y"])
def test_each_version_of_bcrypt_is_known(version: str) -> None:
    users = read(LINES[0].replace("$2b$", f"${version}$")).clients.users
    assert users is not None
    assert bcrypt.checkpw(b"alice's", users["alice"])


@pytest.mark.parametrize("name", ["müller", "a b", "alice@example.com", "-", "$2b$"])
def test_a_name_may_have_any_character(name: str) -> None:
    assert read(f"{name}:{ALICE.decode()}").clients.users == {name: ALICE}


def other(hashed: str) -> str:
    return f"alice:{hashed}"


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        "alice:",
        f":{ALICE.decode()}",
        other("secret"),
        other("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00"),
        other("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
        other("rl.3StKT.4T8M"),
        other("$2c$" + ALICE.decode()[4:]),
        other(ALICE.decode()[:-1]),
        other(ALICE.decode() + "x"),
        other(ALICE.decode() + ":1000"),
        other(" " + ALICE.decode()),
        other("$2b$4$" + ALICE.decode()[7:]),
    ],
)
def test_only_bcrypt_is_taken(line: str) -> None:
    said = refused(f"{LINES[1]}\n{line}\n")
    assert said.startswith(
        "line 2: clients.htpasswd: line 2 is no user with a bcrypt hash: add users with crproxy user add"
    )
    assert "secret" not in said


@pytest.mark.parametrize("cost", ["00", "01", "03"])
def test_a_cost_that_bcrypt_does_not_know_is_refused(cost: str) -> None:
    """Checking it would fail, and with it whoever logs in."""
    assert "line 1 is no user with a bcrypt hash" in refused(LINES[0].replace("$04$", f"${cost}$"))


@pytest.mark.parametrize("last", ["a", "z", "v", "9"])
def test_so_is_a_salt_that_is_none(last: str) -> None:
    line = LINES[0]
    salt_ends = len("alice:$2b$04$") + 22
    with pytest.raises(ValueError, match="salt"):
        bcrypt.checkpw(
            b"x", (broken := line[: salt_ends - 1] + last + line[salt_ends:]).removeprefix("alice:").encode()
        )
    assert "line 1 is no user with a bcrypt hash" in refused(broken)


@pytest.mark.parametrize("cost", ["15", "20", "31", "99"])
def test_too_dear_a_cost_is_refused(cost: str) -> None:
    said = refused(f"\n{LINES[0].replace('$04$', f'${cost}$')}")
    assert said == f"line 2: clients.htpasswd: line 2: a cost of {cost} takes too long to check: at most 14"


@pytest.mark.parametrize("cost", ["04", "10", "14"])
def test_others_are_not(cost: str) -> None:
    assert read(LINES[0].replace("$04$", f"${cost}$")).clients.users


def test_a_user_has_one_line() -> None:
    assert refused("\n".join([*LINES, LINES[0]])).endswith("line 3: the user alice has a line already")


@pytest.mark.parametrize("text", ["", "\n\n", "# nobody\r\n"])
def test_a_file_of_nobody_lets_nobody_in_and_is_refused(text: str) -> None:
    assert "there is no user in it" in refused(text)


@given(st.text() | st.text("ab:$2by./0123456789#\r\n ", max_size=80))
def test_any_file_gives_users_or_a_config_error(text: str) -> None:
    found = outcome(ConfigError, read, text)
    assert isinstance(found, ConfigError) or found.clients.users


def test_hashes_are_not_shown() -> None:
    """S26."""
    assert ALICE.decode() not in repr(read(LINES[0]))


# What else is said of clients


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60.0), ("5m", 300.0), ("1h", 3600.0)])
def test_s23_a_token_lasts_from_a_minute_to_an_hour(text: str, seconds: float) -> None:
    assert loaded(f'[clients]\ntoken_ttl = "{text}"').clients.token_ttl == seconds


@pytest.mark.parametrize("text", ["1s", "59s", "3601s", "1d"])
def test_s23_no_other_does(text: str) -> None:
    said = mistake(f'[clients]\ntoken_ttl = "{text}"')
    assert said == "line 2: clients.token_ttl: a token lasts from 60s to 1h"


@pytest.mark.parametrize("written", [True, False])
def test_those_in_privileged_networks_log_in_where_it_is_so_written(written: bool) -> None:
    text = f'[clients]\nprivileged = ["192.0.2.0/24"]\nprivileged_login = {str(written).lower()}'
    config = loaded(text)
    assert config.clients.privileged_login is written
    assert config.access.privileged == (ip_network("192.0.2.0/24"),)


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("htpaswd", "htpasswd"),
        ("token_tll", "token_ttl"),
        ("privilege_login", "privileged_login"),
        ("privilegedd", "privileged"),
        ("privileged_image", "privileged_images"),
    ],
)
def test_a_key_that_is_not_known_names_the_near_one(key: str, near: str) -> None:
    assert mistake(f"[clients]\n{key} = 1") == f"line 2: clients.{key}: there is no such key; did you mean {near}?"


# Pass-through

TABLE = '[upstreams."ghcr.io"]\npassthrough = true\n'
GHCR = Registry("ghcr.io")


@pytest.mark.parametrize(
    "where",
    [
        'domain = "cr.test"\n',
        'domain = "cr.test"\n[aliases]\ng = "ghcr.io"\n',
        '[aliases]\n"g.test"="ghcr.io"\n',
        # As their HTTP proxy it answers by the registry's own.
        '[proxy]\nlisten = ["tcp:3128"]\n',
    ],
)
def test_clients_log_in_at_an_upstream_that_has_a_host_of_its_own(where: str) -> None:
    config = loaded(where + TABLE)
    assert config.upstream(GHCR).passthrough
    assert not config.upstream(DOCKER_HUB).passthrough


def test_s7_no_upstream_gets_clients_credentials_unless_it_is_written() -> None:
    config = loaded('domain = "cr.test"\n[upstreams."ghcr.io"]\nretries = 1')
    assert not config.upstream(GHCR).passthrough
    assert not config.upstream(Registry("quay.io")).passthrough


@pytest.mark.parametrize("where", ["", 'domain = "cr.test"\n[aliases]\nghcr = ""\n', '[aliases]\n"g.test"="quay.io"\n'])
def test_without_such_a_host_there_is_nowhere_to_log_in(where: str) -> None:
    said = mistake(where + TABLE)
    assert f'line {where.count(chr(10)) + 1}: upstreams."ghcr.io": passthrough needs a host' in said


def test_either_clients_log_in_there_or_the_proxy_does() -> None:
    said = mistake('domain = "cr.test"\n' + TABLE + 'username = "u"\npassword = "p"\n')
    assert said.startswith('line 3: upstreams."ghcr.io".passthrough: there is a username as well')


def test_admins_are_users_of_the_file() -> None:
    text = f'{NAMED}\nadmins = ["bob"]\n'
    assert read("\n".join(LINES), text).clients.admins == {"bob"}
    assert read("\n".join(LINES)).clients.admins == frozenset()


@pytest.mark.security("S35")
def test_an_admin_without_a_password_is_a_mistake() -> None:
    assert "'eve' is no user of the htpasswd file" in refused("\n".join(LINES), f'{NAMED}\nadmins = ["eve"]\n')
    assert "'eve' is no user of the htpasswd file" in mistake('[clients]\nadmins = ["eve"]\n')
