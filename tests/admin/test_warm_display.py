from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from crproxy.admin.warm_display import BarDisplay, Display, LineDisplay, RawDisplay


def line(state: str, **more: Any) -> dict[str, Any]:
    usual = {"number": 0, "image": "quay.io/a/b:[v1]", "state": state, "done": 5, "total": 2048, "fetched": 0}
    return {**usual, "digest": "sha256:ab", "why": None, **more}


STEPS = [
    line("fetching"),
    line("fetching", done=1024),
    line("done"),
    line("failed", number=1, image="x", why="it was lost"),
    {"warmed": 1, "failed": 1},
]
TOLD = ["quay.io/a/b:[v1]: done, 2.0 KiB, all was here, sha256:ab", "x: failed: it was lost", "1 done, 1 failed"]


def shown(display: Display) -> None:
    with display:
        for step in STEPS:
            display.show(step)


def test_without_a_terminal_there_is_a_line_for_each_image(capsys: pytest.CaptureFixture[str]) -> None:
    shown(LineDisplay())
    assert capsys.readouterr().out.splitlines() == TOLD


def test_a_note_and_what_was_fetched_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    LineDisplay().show(line("done", fetched=1024, why="served from the cache"))
    assert "1.0 KiB fetched, sha256:ab (served from the cache)" in capsys.readouterr().out


def test_programs_get_what_the_daemon_said(capsys: pytest.CaptureFixture[str]) -> None:
    shown(RawDisplay())
    assert len(capsys.readouterr().out.splitlines()) == len(STEPS)


def test_on_a_terminal_there_is_a_bar_while_it_comes_and_the_same_line_after() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, color_system=None, legacy_windows=False)
    display = BarDisplay(console)
    with display:
        display.show(STEPS[1])
        (task,) = display.progress.tasks
        assert (task.completed, task.total) == (1024, 2048)
        for step in STEPS[2:]:
            display.show(step)
        assert display.progress.tasks == []
    for told in TOLD:
        assert told in file.getvalue()
