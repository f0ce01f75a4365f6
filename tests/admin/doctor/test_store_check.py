"""What the doctor makes of an object store in a directory; those that are servers are in tests/integration."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

import obstore
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.admin.doctor import store_check
from crproxy.admin.doctor.environment import ProbeEnvironment
from crproxy.admin.doctor.findings import Finding, Outcome
from crproxy.admin.doctor.store_check import check_store
from crproxy.config import Config, Storage
from tests.memory import ended


def look(directory: Path) -> list[Finding]:
    return list(store_check._look(Storage(f"file://{directory}"), Clock()))


def told(findings: list[Finding]) -> list[tuple[str, Outcome]]:
    return [(finding.subject.rpartition(": ")[2], finding.outcome) for finding in findings]


def test_without_one_nothing_is_looked_at(nothing: ProbeEnvironment) -> None:
    assert ended(Deferred.fromCoroutine(check_store(Config(), nothing))) == []


def test_a_directory_that_is_not_there_yet_is_not_made(nothing: ProbeEnvironment, tmp_path: Path) -> None:
    config = Config(storage=Storage(f"file://{tmp_path}/later"))
    (found,) = ended(Deferred.fromCoroutine(check_store(config, nothing)))
    assert found.outcome is Outcome.SKIPPED
    assert list(tmp_path.iterdir()) == []


def test_what_was_put_there_goes_again(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("of somebody")
    assert told(look(tmp_path)) == [(step, Outcome.OK) for step in ("list", "write", "read", "remove")]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["kept"]


def test_what_comes_after_a_failure_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("<Code>AccessDenied</Code>")

    monkeypatch.setattr(obstore, "put", refuse)
    findings = look(tmp_path)
    assert told(findings) == [
        ("list", Outcome.OK),
        ("write", Outcome.FAILED),
        ("read", Outcome.SKIPPED),
        ("remove", Outcome.SKIPPED),
    ]
    assert "get, put and delete" in findings[1].advice


def test_other_bytes_are_noticed_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = obstore.put

    def spoil(store: Any, key: str, content: bytes, **options: Any) -> None:
        put(store, key, content[:-1] + b"?", **options)

    monkeypatch.setattr(obstore, "put", spoil)
    monkeypatch.setattr(secrets, "token_bytes", bytes)
    findings = look(tmp_path)
    assert told(findings)[2:] == [("read", Outcome.FAILED), ("remove", Outcome.OK)]
    assert findings[2].text == "other bytes come out than were put in"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_not_installed_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    (found,) = look(tmp_path)
    assert found.outcome is Outcome.FAILED
    assert "pip install 'crproxy[fleet]'" in found.advice
