from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft7Validator

from crproxy.admin import config_reading
from crproxy.admin.command import main


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system's configuration would be."""
    path = tmp_path / "system.toml"
    monkeypatch.setattr(config_reading, "SYSTEM_CONFIG", path)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return path


def run(*words: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["config", *words], env=variables)


def test_what_is_right_says_so(system: Path) -> None:
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{system}: there is no file: ")
    system.write_text('domain = "cr.test"')
    assert run("check").stdout == f"{system}: it can be used\n"


def test_all_that_is_wrong_is_told(system: Path) -> None:
    system.write_text('domian = "x"\ncerts = "/no/certs"\n[listen]\nhttp = ["nonsense"]\n')
    result = run("check", CRPROXY_WORKERS="many")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert lines[0] == f"{system}: line 1: domian: there is no such key; did you mean domain?"
    assert lines[1].startswith("CRPROXY_WORKERS many: write the number of processes")
    assert lines[2].startswith(f"{system}: 'nonsense' is not an endpoint")
    assert lines[3].startswith(f"{system}: certs: /no/certs cannot be read: ")
    assert len(lines) == 4


def test_another_file_is_checked(tmp_path: Path, system: Path) -> None:
    system.write_text("x = 1")
    other = tmp_path / "other.toml"
    other.write_text('domain = "cr.test"')
    assert run("check", str(other)).exit_code == 0
    assert run("check", "--config", str(other)).exit_code == 0
    assert run("check", CRPROXY_CONFIG=str(other)).exit_code == 0
    assert run("check").exit_code == 2
    missing = run("check", str(tmp_path / "missing"))
    assert missing.exit_code == 2
    assert missing.stderr.startswith(f"{tmp_path}/missing: cannot be read: No such file or directory")


def test_programs_are_told_as_well(system: Path) -> None:
    system.write_text("[cache]\nsise = '1G'")
    result = run("check", "--json", "--cache-size", "big", CRPROXY_DOMIAN="x")
    document = json.loads(result.stdout)
    assert result.exit_code == 2
    assert document["file"] == str(system)
    assert document["warnings"] == ["CRPROXY_DOMIAN means nothing; did you mean CRPROXY_DOMAIN?"]
    in_file, option = document["faults"]
    assert (in_file["key"], in_file["line"]) == (["cache", "sise"], 2)
    assert (option["key"], option["line"]) == (None, None)
    assert option["text"].startswith("--cache-size: 'big' is not a size")


def test_a_variable_that_means_nothing_is_a_warning() -> None:
    result = run("check", CRPROXY_CACHESIZE="1G")
    assert (result.exit_code, result.stderr) == (
        0,
        "CRPROXY_CACHESIZE means nothing; did you mean CRPROXY_CACHE_SIZE?\n",
    )


def test_what_counts_is_shown(system: Path, tmp_path: Path) -> None:
    system.write_text('[cache]\nsize = "30G"\n[upstreams."quay.io"]\nusername = "me"\npassword = "sesame"\n')
    result = run("show", "--domain", "cr.test", CRPROXY_WORKERS="2")
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert result.exit_code == 0
    assert rows["cache.size"] == ['"30G"', f"{system}:2"]
    assert rows["domain"] == ['"cr.test"', "--domain"]
    assert rows["workers"] == ["2", "CRPROXY_WORKERS"]
    assert rows["listen.https"] == ['["tcp:443"]', "default"]
    assert rows["data_dir"] == [f'"{tmp_path}/state"', "STATE_DIRECTORY"]
    assert rows["listen.admin"] == [f'"unix:{tmp_path}/state/admin.sock:mode=660"', "default"]
    assert rows['upstreams."quay.io".password'] == ['"***"', f"{system}:5"]
    assert "sesame" not in result.output


def test_programs_are_shown_as_well(system: Path) -> None:
    system.write_text('[cache]\nsize = "30G"')
    found = {each["key"]: each for each in json.loads(run("show", "--json").stdout)}
    assert found["cache.size"] == {"key": "cache.size", "value": "30G", "source": "file", "where": f"{system}:2"}
    assert found["certs"] == {"key": "certs", "value": None, "words": "none", "source": "default", "where": None}


def test_what_cannot_be_used_is_not_shown(system: Path) -> None:
    system.write_text("x = 1")
    result = run("show")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{system}: line 1: x: there is no such key")


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(json.loads(run("schema").stdout))
