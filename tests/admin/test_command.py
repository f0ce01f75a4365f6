from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from crproxy import __version__
from crproxy.admin import command
from crproxy.admin.command import main


@pytest.fixture
def twistd(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that twistd was run with."""
    runs: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["crproxy"])
    monkeypatch.setattr(command, "run", lambda: runs.append(sys.argv))
    return runs


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.output) == (0, f"crproxy {__version__}\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_what_can_be_done(option: str) -> None:
    result = CliRunner().invoke(main, [option])
    assert result.exit_code == 0
    assert "serve" in result.output


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--domain", "cr.example.com", "--http", "tcp:80"],
        ["-c", "x.toml"],
        ["--help"],
        ["--default-registry", ""],
        ["--http=tcp:5000:interface=127.0.0.1"],
    ],
)
def test_serve_is_twistd_in_the_foreground_with_the_same_options(twistd: list[list[str]], options: list[str]) -> None:
    result = CliRunner().invoke(main, ["serve", *options])
    assert result.exit_code == 0
    assert twistd == [["twistd", "--nodaemon", "--pidfile=", "crproxy", *options]]


def test_what_does_not_exist_is_an_error(twistd: list[list[str]]) -> None:
    result = CliRunner().invoke(main, ["sevre"])
    assert result.exit_code == 2
    assert "No such command 'sevre'" in result.output
    assert twistd == []
