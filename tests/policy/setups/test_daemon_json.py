"""Docker's file, merged: by the function, and by the command that people paste, which are to do the same."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crproxy.policy.setups import SetupError, Target, merge_docker
from crproxy.policy.setups.daemon_json import NotMerged, merge_command, merged
from crproxy.policy.setups.docker import docker
from tests.outcomes import outcome

OURS = {"registry-mirrors": ["https://docker.cr.example.com"], "insecure-registries": ["cr.example.com"]}
MIRROR = {"registry-mirrors": ["https://docker.cr.example.com"]}


def pasted(path: Path, ours: dict[str, list[str]] = OURS) -> tuple[int, str]:
    """Run the command in a shell; return its status, and what it says of a failure."""
    done = subprocess.run(
        ["sh", "-c", merge_command(ours, str(path))], capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "registry-mirrors": [\n    "https://docker.cr.example.com"\n  ]\n}\n'),
        (" \n", '{\n  "registry-mirrors": [\n    "https://docker.cr.example.com"\n  ]\n}\n'),
        (
            '{\n    "log-driver": "journald",\n    "registry-mirrors": ["https://other"],\n    "müll": 1.50\n}',
            '{\n    "log-driver": "journald",\n    "registry-mirrors": [\n        "https://docker.cr.example.com",\n'
            '        "https://other"\n    ],\n    "müll": 1.5\n}\n',
        ),
        (
            '{\n\t"debug": true\n}\n',
            '{\n\t"debug": true,\n\t"registry-mirrors": [\n\t\t"https://docker.cr.example.com"\n\t]\n}\n',
        ),
        ('{"registry-mirrors": null}', '{\n  "registry-mirrors": [\n    "https://docker.cr.example.com"\n  ]\n}\n'),
    ],
)
def test_every_other_key_stays_and_the_indentation(tmp_path: Path, before: str, after: str) -> None:
    assert merged(before, MIRROR) == after
    assert merged(after, MIRROR) == after
    path = tmp_path / "etc" / "docker" / "daemon.json"
    path.parent.mkdir(parents=True)
    path.write_text(before)
    assert pasted(path, MIRROR) == (0, "")
    assert path.read_text() == after


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"debug": true,}', "line 1 column"),
        ("{", "line 1 column"),
        ("[]", " "),
        ('"text"', " "),
        ("null", " "),
        ("7", " "),
        ('{"registry-mirrors": "https://x"}', "registry-mirrors is no list"),
        ('{"registry-mirrors": {"a": 1}}', "registry-mirrors is no list"),
        ('\ufeff{"debug": true}', "BOM"),
        ("[" * 100_000, " "),
    ],
)
def test_what_docker_does_not_read_is_left_alone(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(NotMerged, match=said):
        merged(text, MIRROR)
    path = tmp_path / "daemon.json"
    path.write_text(text)
    status, error = pasted(path)
    assert (status, said in error, "is left as it is" in error) == (1, True, True)
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_text_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(b"\xff{}")
    assert pasted(path)[0] == 1
    assert path.read_bytes() == b"\xff{}"


def test_a_file_is_made_and_one_that_is_there_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "daemon.json"
    assert pasted(path) == (0, "")
    assert json.loads(path.read_text()) == OURS
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert pasted(link, {"registry-mirrors": ["https://other"]}) == (0, "")
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["registry-mirrors"] == ["https://other", *OURS["registry-mirrors"]]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FILES = st.dictionaries(st.sampled_from([*OURS, "debug", "dns", "é"]), JSON)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example({"registry-mirrors": ["https://docker.cr.example.com", "https://other"]}, "\t")
@given(FILES, st.sampled_from([None, "\t", 1, 4]))
def test_function_and_command_do_the_same(tmp_path: Path, document: dict[str, Any], indent: int | str | None) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    path = tmp_path / "daemon.json"
    path.write_text(text)
    status, _ = pasted(path)
    expected = outcome(NotMerged, merged, text, OURS)
    if isinstance(expected, NotMerged):
        assert (status, path.read_text()) == (1, text)
    else:
        assert (status, path.read_text()) == (0, expected)
        kept = {key: value for key, value in json.loads(expected).items() if key not in OURS}
        assert kept == {key: value for key, value in document.items() if key not in OURS}


def test_a_whole_file_is_printed_in_place_of_what_is_added() -> None:
    made = merge_docker(docker(Target.at("cr.example.com", secure=True)), '{"debug": true}')
    (file,) = made.files
    assert json.loads(file.text) == {"debug": True, "registry-mirrors": ["https://docker.cr.example.com"]}
    assert (made.added, made.merge, made.then[0]) == ((), "", "systemctl reload docker")
    with pytest.raises(SetupError, match="not JSON"):
        merge_docker(docker(Target.at("cr.example.com", secure=True)), "{")
