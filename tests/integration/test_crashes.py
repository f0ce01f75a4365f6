"""kill -9 during concurrent pulls; `make stress` does it for longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stress.crashes import Crashes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_a_killed_daemon_leaves_nothing_corrupt(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path, seed=8)
    for _ in range(6):
        crashes.round()
    assert crashes.figures.whole
    assert crashes.figures.cut
    assert crashes.figures.resumed
