"""The one table of keys: what is read is in it, and what the documentation says is it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crproxy.config import ConfigError, Options, load
from crproxy.config.key import EACH, Key, Kind
from crproxy.config.keys import ENDPOINT_KEYS, FREE_TABLES, KEYS, key_at, names_in, tables
from crproxy.config.options import OPTIONS
from crproxy.config.table import dotted

CONFIGURATION = (Path(__file__).parent.parent.parent / "docs" / "configuration.md").read_text("utf-8")
NAMED = {"upstreams.*": '[upstreams."quay.io"]', "rules.[]": "[[rules]]", "storage": '[storage]\nurl = "s3://bucket"'}


def header(table: str) -> str:
    return NAMED.get(table, f"[{table}]" if table else "")


def known(table: str) -> set[str]:
    """The keys that are read of a table, by what is said of one that is not."""
    with pytest.raises(ConfigError) as raised:
        load(f"{header(table)}\nqqqqqqqq = 1\n", Options(), read_file=str)
    return set(str(raised.value).partition("known here: ")[2].split(", "))


@pytest.mark.parametrize("table", tables())
def test_what_is_read_is_in_the_table(table: str) -> None:
    assert set(names_in(table)) == known(table)


def test_what_is_read_of_an_endpoint_is_in_the_table() -> None:
    with pytest.raises(ConfigError) as raised:
        load('[[upstreams."quay.io".endpoint]]\nurl = "https://quay.io"\nqqqqqqqq = 1', Options(), read_file=str)
    read = set(str(raised.value).partition("known here: ")[2].split(", "))
    assert read == {"url", "trust_tags", *(key.name for key in ENDPOINT_KEYS)}


@pytest.mark.parametrize("table", tables())
def test_the_documentation_has_its_rows(table: str) -> None:
    """Whoever changes one of them changes the other."""
    heading = {"": "At the top", "upstreams.*": '`[upstreams."NAME"]`', "rules.[]": "`[[rules]]`"}.get(
        table, f"`[{table}]`"
    )
    section = CONFIGURATION.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `[a-z_]+` \| .* \|$", section, re.MULTILINE)
    assert rows == [key.row for key in KEYS if key.table == table]


@pytest.mark.parametrize("key", [key for key in KEYS if key.literal_default is not None], ids=lambda key: key.row[:40])
def test_a_default_is_of_its_type(key: Key) -> None:
    kinds = {Kind.BOOLEAN: bool, Kind.WHOLE: int, Kind.WORKERS: int, Kind.TEXTS: list, Kind.NETWORKS: list}
    assert type(key.literal_default) is {**kinds, Kind.ENDPOINTS: list}.get(key.kind, str)
    if key.choices:
        assert key.literal_default in key.choices


def test_every_option_stands_for_a_key() -> None:
    keys = {dotted(key.path) for key in KEYS} | set(FREE_TABLES)
    assert {option.key for option in OPTIONS if option.key} <= keys


def test_keys_are_found_by_their_paths() -> None:
    assert key_at(("cache", "size")) in KEYS
    found = key_at(("upstreams", "quay.io", "retries"))
    assert found is not None
    assert found.path == ("upstreams", EACH, "retries")
    assert key_at(("cache", "sise")) is None
    assert key_at(("upstreams", "quay.io")) is None


def test_markdown_is_left_out() -> None:
    key = Key("", "x", Kind.TEXT, "see [this](there.md#a) and `that`", '`"y"`, where it is')
    assert (key.plain_meaning, key.plain_default) == ("see this and that", '"y", where it is')
    assert key.literal_default is None
