from __future__ import annotations

from typing import Any

from crproxy.config import Options, load
from crproxy.config.keys import KEYS
from crproxy.config.showing import Setting, Source, settings
from crproxy.config.table import dotted, parse_toml, written
from crproxy.config.variables import with_variables

TEXT = """\
domain = "cr.test"

[aliases]
corp = "registry.corp.example"
ghcr = ""

[cache]
size = "30G"

[upstreams."docker.io"]
endpoint = [{ url = "https://m.example", username = "a", password = "sesame" }, "https://registry-1.docker.io"]

[upstreams."quay.io"]
username = "me"
password = "sesame"
proxy = "http://u:sesame@proxy:3128"

[fleet]
valkey = "redis://:sesame@valkey"
advertise = "https://10.0.0.5:5443"
secret_file = "/etc/secret"
"""


def shown(
    text: str, options: Options | None = None, computed: dict[str, Any] | None = None, **environment: str
) -> dict[str, Setting]:
    options = with_variables(options or Options(), environment)
    config = load(text, options, read_file=lambda _: "s" * 32, environment=environment)
    found = settings(parse_toml(text), text, options, config, computed or {}, environment)
    return {setting.key: setting for setting in found}


def test_every_key_is_there() -> None:
    named = {dotted(key.path) for key in KEYS if "*" not in key.path and "[]" not in key.path}
    assert named == set(shown(""))


def test_rules_and_pins_are_shown_as_they_are_written() -> None:
    digest = f"sha256:{'a' * 64}"
    text = f"""
[[rules]]
name = "ours"

[[rules]]
minimum_age = "72h"
images = ["docker.io/*"]

[pins]
nginx = "{digest}"
"""
    found = shown(text)
    assert found["rules[1].name"] == Setting("rules[1].name", "ours", Source("file", line=3))
    assert found["rules[2].minimum_age"] == Setting("rules[2].minimum_age", "72h", Source("file", line=6))
    assert found["rules[2].images"].value == ["docker.io/*"]
    assert found["pins.nginx"] == Setting("pins.nginx", digest, Source("file", line=10))


def test_each_says_where_it_comes_from() -> None:
    found = shown(TEXT, Options(acme_email="ops@example.com"), CRPROXY_WORKERS="2", CRPROXY_HTTP="tcp:1 tcp:2")
    assert found["cache.size"] == Setting("cache.size", "30G", Source("file", line=8))
    assert found["cache.tag_ttl"] == Setting("cache.tag_ttl", "60s", Source("default"))
    assert found["acme.email"] == Setting("acme.email", "ops@example.com", Source("option", "--acme-email"))
    assert found["workers"] == Setting("workers", 2, Source("variable", "CRPROXY_WORKERS"))
    assert found["listen.http"] == Setting("listen.http", ["tcp:1", "tcp:2"], Source("variable", "CRPROXY_HTTP"))
    assert found["certs"] == Setting("certs", None, Source("default"), "none")
    assert [found[key].source.told("/x") for key in ("cache.size", "acme.email", "workers", "certs")] == [
        "/x:8",
        "--acme-email",
        "CRPROXY_WORKERS",
        "default",
    ]
    assert Source("file").told("/x") == "/x"


def test_an_option_wins_over_a_variable() -> None:
    found = shown(TEXT, Options(cache_size="50G"), CRPROXY_CACHE_SIZE="40G")
    assert found["cache.size"] == Setting("cache.size", "50G", Source("option", "--cache-size"))


def test_aliases_are_those_that_count() -> None:
    found = shown(TEXT, Options(aliases=("hub.example.net=docker.io",)))
    assert found['aliases."corp.cr.test"'] == Setting(
        'aliases."corp.cr.test"', "registry.corp.example", Source("file", line=4)
    )
    assert found['aliases."quay.cr.test"'].source == Source("default")
    assert found['aliases."hub.example.net"'].source == Source("option", "--alias")
    assert 'aliases."ghcr.cr.test"' not in found


def test_no_secret_is_shown() -> None:
    found = shown(TEXT, https_proxy="http://u:sesame@proxy:1")
    assert "sesame" not in repr(found)
    assert found['upstreams."quay.io".password'].value == "***"
    assert found['upstreams."quay.io".proxy'].value == "http://***@proxy:3128"
    assert found["fleet.valkey"].value == "redis://***@valkey"
    first, _ = found['upstreams."docker.io".endpoint'].value
    assert first == {"url": "https://m.example", "username": "a", "password": "***"}
    assert found["https_proxy"] == Setting("https_proxy", "http://***@proxy:1", Source("variable", "https_proxy"))


def test_what_depends_on_other_things_is_handed_in() -> None:
    found = shown("", computed={"data_dir": "/data"}, STATE_DIRECTORY="/data")
    assert found["data_dir"] == Setting("data_dir", "/data", Source("variable", "STATE_DIRECTORY"))
    assert shown("", computed={"data_dir": "/data"})["data_dir"] == Setting("data_dir", "/data", Source("default"))


def test_values_are_written_as_in_the_file() -> None:
    value = {"a": [1, True, 'x"y', {"b c": "ü"}]}
    assert written(value) == '{ a = [1, true, "x\\"y", { "b c" = "ü" }] }'
    assert parse_toml(f"value = {written(value)}") == {"value": value}
