from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click import ClickException

from crproxy.admin import paths
from crproxy.admin.paths import find_socket, socket_paths, usual_data_dir

LISTED = [Path("/run/crproxy/admin.sock"), Path("/state/admin.sock"), Path("/var/lib/crproxy/admin.sock")]


def test_the_places_are_those_of_the_daemon() -> None:
    assert list(socket_paths({"STATE_DIRECTORY": "/state:/more"})) == LISTED
    assert list(socket_paths({"STATE_DIRECTORY": "/state", "CRPROXY_ADMIN": ""})) == LISTED


def test_one_that_is_named_is_the_only_one() -> None:
    assert list(socket_paths({"CRPROXY_ADMIN": "/x.sock"})) == [Path("/x.sock")]


def test_without_systemd_data_lies_where_the_users_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert usual_data_dir({}) == str(tmp_path / "crproxy")


def test_the_first_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere, there = tmp_path / "a", tmp_path / "b"
    monkeypatch.setattr(paths, "socket_paths", lambda environment, file: iter([nowhere, there]))
    assert find_socket(None) == nowhere
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(there))
    assert find_socket(None) == there
    assert find_socket(Path("/given")) == Path("/given")


def test_one_that_may_not_be_looked_at_is_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def denied(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_socket", denied)
    assert find_socket(None) == next(socket_paths({}))


def write(directory: Path, text: str) -> Path:
    file = directory / "crproxy.toml"
    file.write_text(text)
    return file


def test_what_the_configuration_says_comes_first(tmp_path: Path) -> None:
    file = write(tmp_path, 'data_dir = "/srv/crproxy"\nnonsense = 1')
    environment = {"STATE_DIRECTORY": "/state", "CRPROXY_CONFIG": str(file)}
    assert list(socket_paths(environment)) == [Path("/srv/crproxy/admin.sock"), *LISTED]
    assert next(socket_paths({**environment, "CRPROXY_DATA_DIR": "/other"})) == Path("/other/admin.sock")


def test_an_endpoint_of_the_configuration_is_the_only_one(tmp_path: Path) -> None:
    file = write(tmp_path, 'data_dir = "/srv"\n[listen]\nadmin = "unix:/run/x/admin.sock:mode=660"')
    assert list(socket_paths({"CRPROXY_CONFIG": str(file)})) == [Path("/run/x/admin.sock")]
    # A file that is named on the command line wins over the variable.
    assert list(socket_paths({"CRPROXY_ADMIN": "/y.sock"}, file)) == [Path("/run/x/admin.sock")]
    assert list(socket_paths({"CRPROXY_CONFIG": str(file), "CRPROXY_ADMIN": "/y.sock"})) == [Path("/y.sock")]


@pytest.mark.parametrize(
    ("endpoint", "said"), [("", 'has admin = ""'), ("tcp:5001", "asks by a Unix socket: name one with --socket")]
)
def test_what_cannot_be_asked_is_told(tmp_path: Path, endpoint: str, said: str) -> None:
    file = write(tmp_path, f'[listen]\nadmin = "{endpoint}"')
    with pytest.raises(ClickException, match=said):
        find_socket(None, file)
    assert find_socket(Path("/given"), file) == Path("/given")


@pytest.mark.parametrize("text", [None, "no toml"])
def test_a_file_that_is_no_use_is_told_where_it_was_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "missing.toml" if text is None else write(tmp_path, text)
    with pytest.raises(ClickException, match="does not tell where the daemon is"):
        find_socket(None, file)
    assert list(socket_paths({"CRPROXY_CONFIG": str(file), "STATE_DIRECTORY": "/state"})) == LISTED
