"""``crproxy fleet status``, and ``crproxy cache push``, against something that answers as a daemon does."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.admin.test_client import answer, daemon, runs

NODE = {
    "name": "node-1",
    "url": "https://10.0.0.5:5443",
    "version": "1.2",
    "since": 0.0,
    "workers": 2,
    "run": "abc",
    "numbers": {"flights": 3.0, "stored": 5.0 * 1024**3},
}
FLEET: dict[str, Any] = {
    "node": "node-1",
    "valkey": "valkey:6379",
    "up": True,
    "leases": 7,
    "nodes": [NODE, {**NODE, "name": "node-2", "url": "https://10.0.0.6:5443", "numbers": {}}],
}
STORAGE: dict[str, Any] = {"url": "s3://bucket/fleet", "up": True, "waiting": 12, "waiting_bytes": 3 * 1024**2}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


def status(path: Path, fleet: Any, storage: Any, *options: str) -> tuple[int, str]:
    found = copy.deepcopy({"fleet": fleet, "storage": storage})
    for node in [] if found["fleet"] is None else found["fleet"]["nodes"]:
        node["since"] = time.time() - 7200
    with daemon(path, answer(200, found)) as asked:
        result = runs(path, "fleet", "status", *options)
    assert asked[0].startswith(b"GET /fleet HTTP/1.1\r\n")
    return result.exit_code, result.output


def test_nodes_and_what_they_have_in_common_are_shown(path: Path) -> None:
    code, output = status(path, FLEET, STORAGE)
    lines = output.splitlines()
    assert code == 0
    assert lines[0].split() == ["NODE", "URL", "VERSION", "WORKERS", "SINCE", "KEPT", "FETCHES"]
    assert "node-1 (this one)" in lines[1]
    for said in ("https://10.0.0.5:5443", "1.2", "2", "5.0 GiB", "3"):
        assert said in lines[1]
    assert "node-2 " in lines[2]
    assert "(this one)" not in lines[2]
    assert lines[3] == "valkey: valkey:6379, up; leases of this node: 7"
    assert lines[4].startswith("object store: s3://bucket/fleet, up; 12 objects to be uploaded, 3.0")


@pytest.mark.parametrize(
    ("fleet", "storage", "code"),
    [
        ({**FLEET, "up": False}, STORAGE, 1),
        (FLEET, {**STORAGE, "up": False}, 1),
        ({**FLEET, "up": False}, None, 1),
        (None, {**STORAGE, "up": False}, 1),
        (FLEET, None, 0),
        (None, STORAGE, 0),
    ],
)
def test_where_one_is_away_it_says_so_and_exits_with_1(path: Path, fleet: Any, storage: Any, code: int) -> None:
    found, output = status(path, fleet, storage)
    assert found == code
    assert ("away: this node goes on alone" in output) is (code == 1)
    assert ("valkey: " in output) is (fleet is not None)
    assert ("object store: " in output) is (storage is not None)


def test_programs_get_the_document(path: Path) -> None:
    code, output = status(path, {**FLEET, "up": False}, STORAGE, "--json")
    assert code == 1
    assert json.loads(output)["fleet"]["nodes"][1]["name"] == "node-2"


def test_where_nobody_is_there_is_no_table(path: Path) -> None:
    code, output = status(path, {**FLEET, "nodes": []}, None)
    assert (code, len(output.splitlines())) == (0, 1)


def test_a_daemon_without_either_says_where_to_look(path: Path) -> None:
    error = {"error": "this daemon has nothing in common with others: see [fleet] and [storage]"}
    with daemon(path, answer(409, error)):
        result = runs(path, "fleet", "status")
    assert result.exit_code == 1
    assert "see [fleet] and [storage]" in result.output


def lines_of(*documents: dict[str, Any]) -> bytes:
    body = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
    return answer(200, body, "application/x-ndjson")


PROGRESS = {
    "found": 10,
    "bytes": 5000,
    "waiting": 4,
    "waiting_bytes": 2048,
    "uploaded": 3,
    "uploaded_bytes": 1024,
    "there_before": 3,
    "given_up": 0,
    "trouble": None,
}
PUSHED = {**PROGRESS, "waiting": 0, "waiting_bytes": 0, "uploaded": 7, "unread": 0, "pushed": True}


def test_a_push_is_followed_until_all_is_there(path: Path) -> None:
    with daemon(path, lines_of(PROGRESS, {**PROGRESS, "trouble": "it hangs"}, PUSHED)) as asked:
        result = runs(path, "cache", "push")
    assert asked[0].startswith(b"POST /cache/push HTTP/1.1\r\n")
    assert result.exit_code == 0
    first, second, last = result.output.splitlines()
    assert first == "10 found; 4 objects are to be uploaded, 2.0 KiB; 3 uploaded"
    assert second == f"{first}; the last attempt failed: it hangs"
    assert last == "10 found; 7 objects uploaded, 1.0 KiB; 3 were there already"


def test_programs_get_each_line_of_a_push(path: Path) -> None:
    with daemon(path, lines_of(PROGRESS, PUSHED)):
        result = runs(path, "cache", "push", "--json")
    assert result.exit_code == 0
    assert '"pushed": true' in result.output
    assert "found;" not in result.output


def test_a_daemon_that_ends_before_all_was_uploaded_goes_on_later(path: Path) -> None:
    with daemon(path, lines_of(PROGRESS)):
        result = runs(path, "cache", "push")
    assert result.exit_code == 3
    assert "it goes on when it starts again" in result.stderr


def test_without_an_object_store_there_is_nowhere_to_push_to(path: Path) -> None:
    with daemon(path, answer(409, {"error": "there is no object store: set url under [storage], and restart"})):
        result = runs(path, "cache", "push")
    assert result.exit_code == 1
    assert "set url under [storage]" in result.output
