"""A few thousand requests of every kind to the real daemon, and answers of registries; `make fuzz` sends more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stress.fuzz import Fuzz
from tests.stress.hostile_upstreams import HostileUpstreams

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_whatever_is_sent_is_answered(tmp_path: Path) -> None:
    fuzz = Fuzz(tmp_path, seed=8)
    fuzz.run(requests=4000, seconds=60)
    assert fuzz.figures.requests >= 4000
    assert {200, 206, 400, 403, 404, 405, 416, 421, 503} <= set(fuzz.figures.statuses)


@pytest.mark.security("S9", "S11", "S17", "S20")
def test_whatever_registries_answer_clients_get_what_is_right_or_are_told(tmp_path: Path) -> None:
    """How long the reactor stalls is not looked at: this machine has other things to do."""
    stress = HostileUpstreams(tmp_path, seed=13, bounds=None)
    stress.run(answers=1500, seconds=60)
    figures = stress.figures
    assert figures.answers[""] >= 1500
    assert {"link", "long_line", "any_status", "document", "chunks", "stall", "reset"} <= set(figures.answers)
    assert {200, 206, 403, 404, 416, 429, 503} <= set(figures.statuses)
    assert len(figures.honest) >= 100
    assert figures.stall > 0
