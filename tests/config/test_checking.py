from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.config import Options, load
from crproxy.config.checking import check
from crproxy.config.table import ConfigError
from tests.configs import no_files
from tests.outcomes import outcome


def missing(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def told(text: str, **options: Any) -> list[str]:
    return [str(fault) for fault in check(text, Options(**options), read_file=missing).faults]


def test_what_is_right_is_read() -> None:
    text = 'domain = "cr.test"\n[cache]\nsize = "1G"'
    checked = check(text, Options(workers="2"), read_file=no_files)
    assert checked.faults == ()
    assert checked.config == load(text, Options(workers="2"), read_file=no_files)


def test_what_is_no_toml_is_told_by_itself() -> None:
    assert told("x = ") == ["line 1, column 5: this is not TOML: Invalid value; texts stand in quotes"]


def test_all_that_is_wrong_is_told_in_the_order_of_lines() -> None:
    text = """\
domian = "x"
domain = "localhost"
[cache]
size = "big"
sise = 3
tag_ttl = "x"
[listen]
grace = 20
[upstreams."quay.io"]
username = "x"
password_file = "/no/password"
[upstreams."docker.io"]
retires = 1
retries = -1
[upstreams."a b"]
[audit]
format = "json"
"""
    assert [line.partition(": ")[0] for line in told(text)] == [
        f"line {number}" for number in (1, 2, 4, 5, 6, 8, 11, 13, 14, 15, 17)
    ]


@pytest.mark.parametrize(
    "text",
    [
        # Each is wrong in one way, and what goes with it is not told.
        'domain = "localhost"\n[listen]\nhttps = ["tcp:1"]\n[aliases]\nquay = "quay.io"',
        '[upstreams."quay.io"]\nusername = "me"\npassword_file = "/no/password"',
        '[acme]\neab_key_id = "x"\neab_hmac_file = "/no/hmac"',
        '[storage]\nurl = "s3://b"\naccess_key_id = "x"\nsecret_access_key_file = "/no/key"',
        '[fleet]\nvalkey = "redis://valkey"\nadvertise = "https://10.0.0.5:5443"\nsecret_file = "/no/secret"',
        '[clients]\nhtpasswd = "/no/htpasswd"\ntoken_ttl = "5m"',
        "listen = 1",
        "aliases = 1",
        "upstreams = 1",
    ],
)
def test_one_cause_is_told_once(text: str) -> None:
    assert len(told(text)) == 1


def test_options_are_told_as_well_and_last() -> None:
    faults = told("[cache]\nsize = 1", workers="many", cache_size="big", aliases=("quay",), domain="localhost")
    assert faults[0].startswith("line 2: cache.size: ")
    assert sorted(fault.partition(" ")[0].rstrip(":") for fault in faults[1:]) == [
        "--alias",
        "--cache-size",
        "--domain",
        "--workers",
    ]


def test_a_node_without_a_fleet_is_told() -> None:
    assert len(told("", fleet_advertise="https://10.0.0.5:5443")) == 1
    assert len(told("[fleet]\nvalkey = 1", fleet_advertise="https://10.0.0.5:5443")) == 1


LINES = [
    "x = 1",
    "domain = 'localhost'",
    "workers = 'x'",
    "[cache]",
    "size = 'x'",
    "[upstreams.'quay.io']",
    "username = 'x'",
    "[listen]",
    "https = ['tcp:1']",
    "[aliases]",
    "quay = 1",
    "[proxy]",
    "[storage]",
    "url = 1",
    "[fleet]",
    "listen = []",
]


@given(st.lists(st.sampled_from(LINES), max_size=8))
def test_it_ends_and_agrees_with_reading(lines: list[str]) -> None:
    text = "\n".join(lines)
    refused = outcome(ConfigError, load, text, Options(), read_file=no_files)
    checked = check(text, Options(), read_file=no_files)
    if isinstance(refused, ConfigError):
        assert str(refused) in [str(fault) for fault in checked.faults]
    else:
        assert (checked.faults, checked.config) == ((), refused)


def test_of_each_rule_and_pin_all_that_is_wrong_is_told() -> None:
    text = """\
[[rules]]
name = "a"
minimum_age = "x"
digests = true

[[rules]]
nmae = "b"
images = ["a b"]
users = 3

[[rules]]
images = ["quay.io/*"]
nmae = "c"
name = "a"

[pins]
nginx = "x"
"a@b" = "y"

[cache]
size = 3
"""
    assert [line.partition(": ")[0] for line in told(text)] == [
        f"line {number}" for number in (3, 7, 8, 9, 13, 17, 18, 21)
    ]
    assert "another rule is called 'a' already" in "\n".join(told('[[rules]]\nname = "a"\n[[rules]]\nname = "a"'))


@pytest.mark.parametrize("text", ["[rules]\na = 1", "rules = [1]", "rules = 3"])
def test_rules_are_a_list_of_tables(text: str) -> None:
    (fault,) = told(text)
    assert fault == "line 1: rules: this is a list of tables: write the keys of each below [[rules]]"
