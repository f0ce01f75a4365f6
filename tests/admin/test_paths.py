from __future__ import annotations

import socket
from pathlib import Path

import pytest

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
    monkeypatch.setattr(paths, "socket_paths", lambda environment: iter([nowhere, there]))
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
