"""A few thousand requests of every kind to the real daemon; `make fuzz` sends more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stress.fuzz import Fuzz

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_whatever_is_sent_is_answered(tmp_path: Path) -> None:
    fuzz = Fuzz(tmp_path, seed=8)
    fuzz.run(requests=6000, seconds=60)
    assert fuzz.figures.requests >= 6000
    assert {200, 206, 400, 403, 404, 405, 416, 421, 503} <= set(fuzz.figures.statuses)
