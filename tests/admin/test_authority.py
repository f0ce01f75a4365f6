"""``crproxy ca``, against something that answers as a daemon does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.admin.test_client import answer, daemon, runs

FIRST: dict[str, Any] = {
    "fingerprint": "AB:CD",
    "names": ["docker.io", "ghcr.io"],
    "not_before": 1_800_000_000.0,
    "not_after": 1_957_680_000.0,
    "certificate": "-----FIRST-----\n",
}
SECOND = {**FIRST, "fingerprint": "12:34", "not_after": 1_990_000_000.0, "certificate": "-----SECOND-----\n"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


def test_those_that_count_are_shown(path: Path) -> None:
    with daemon(path, answer(200, {"authorities": [FIRST, SECOND]})) as asked:
        result = runs(path, "ca", "show")
    assert asked[0].startswith(b"GET /ca HTTP/1.1\r\n")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "SHA-256 AB:CD",
        "  until 2032-01-14, for docker.io, ghcr.io",
        "SHA-256 12:34",
        "  until 2033-01-22, for docker.io, ghcr.io",
    ]


def test_programs_are_shown_the_document(path: Path) -> None:
    with daemon(path, answer(200, {"authorities": [FIRST]})):
        result = runs(path, "ca", "show", "--json")
    assert json.loads(result.stdout) == {"authorities": [FIRST]}


def test_what_is_to_be_trusted_is_printed_and_nothing_else(path: Path) -> None:
    with daemon(path, answer(200, {"authorities": [FIRST, SECOND]})):
        result = runs(path, "ca", "export")
    assert result.stdout == "-----FIRST-----\n-----SECOND-----\n"


def test_another_one_is_made(path: Path) -> None:
    with daemon(path, answer(200, SECOND)) as asked:
        result = runs(path, "ca", "renew")
    assert asked[0].startswith(b"POST /ca HTTP/1.1\r\n")
    first, _, then = result.stdout.splitlines()
    assert first == "SHA-256 12:34"
    assert "crproxy ca export" in then
    with daemon(path.with_name("again"), answer(200, SECOND)):
        assert json.loads(runs(path.with_name("again"), "ca", "renew", "--json").stdout) == SECOND


@pytest.mark.parametrize("command", ["show", "export", "renew"])
def test_a_refusal_is_told_in_the_daemons_words(path: Path, command: str) -> None:
    with daemon(path, answer(409, {"error": "this daemon is no HTTP proxy"})):
        result = runs(path, "ca", command)
    assert (result.exit_code, result.output) == (1, "Error: this daemon is no HTTP proxy\n")


@pytest.mark.parametrize("command", ["show", "export", "renew"])
def test_where_there_is_no_daemon_it_exits_with_3(path: Path, command: str) -> None:
    result = runs(path, "ca", command)
    assert result.exit_code == 3
    assert result.stdout == ""
