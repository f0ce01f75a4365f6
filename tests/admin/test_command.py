from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crproxy import __version__
from crproxy.admin.command import main
from crproxy.oci.digests import Digest
from crproxy.store.entries import Entry
from crproxy.store.opening import open_store
from crproxy.store.store import Store
from tests.memory import ended


@pytest.fixture
def twistd(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that twistd was run with."""
    runs: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["crproxy"])
    monkeypatch.setattr("crproxy.admin.serve.run", lambda: runs.append(sys.argv))
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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    store.blobs.prepare()
    for content in (b"one", b"two", b"three"):
        ended(store.keep(Entry(Digest.of(content)), content))
    yield store
    store.index.close()


def verify(tmp_path: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["cache", "verify", "--data-dir", str(tmp_path), *words])


def test_a_sound_cache_is_verified(store: Store, tmp_path: Path) -> None:
    result = verify(tmp_path)
    assert (result.exit_code, result.stdout) == (0, "11 B read (11 bytes), 0 contents dropped\n")
    assert store.index.bytes_stored() == 11


def test_what_is_damaged_is_named_and_dropped(store: Store, tmp_path: Path) -> None:
    entry = Entry(Digest.of(b"two"))
    store.blobs.keep(entry).write_bytes(b"twe")
    result = verify(tmp_path)
    assert result.exit_code == 1
    assert f"damaged, dropped: {entry}\n" in result.stdout
    assert result.stdout.endswith("11 B read (11 bytes), 1 contents dropped\n")
    assert store.index.size(entry) is None
    assert verify(tmp_path).exit_code == 0


def test_no_more_is_read_in_a_second_than_was_said(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    assert verify(tmp_path, "--rate", "2").exit_code == 0
    assert now == [5.5]


@pytest.mark.parametrize("words", [["--rate", "fast"], ["--data-dir", "/nowhere/at/all"], ["--rate", "1", "nginx"]])
def test_a_command_line_that_is_wrong_says_so(tmp_path: Path, words: list[str]) -> None:
    data_dir = ["--data-dir", str(tmp_path)] if "--rate" in words else []
    result = CliRunner().invoke(main, ["cache", "verify", *data_dir, *words])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []
