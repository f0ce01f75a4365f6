"""``crproxy doctor`` as its users run it, somewhere, and what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .node import HERE, Node
from .process import clean_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Found", "Report", "examine"]

_PATIENCE = 120


@dataclass(frozen=True, slots=True)
class Found:
    """One finding."""

    area: str
    subject: str
    outcome: str
    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that it found, and its exit status."""

    status: int
    findings: tuple[Found, ...]
    first_cause: Found | None

    def about(self, area: str) -> tuple[Found, ...]:
        """What it found there."""
        return tuple(found for found in self.findings if found.area == area)

    @property
    def failed(self) -> frozenset[str]:
        """Where something failed."""
        return frozenset(found.area for found in self.findings if found.outcome == "failed")


def examine(directory: Path, *options: str, node: Node = HERE, before: Sequence[str] = ()) -> Report:
    """Run it.

    Arguments:
        directory: where it runs; also its home.
        before: what it is run by, such as setpriv.
    """
    command = [str(Path(sys.executable).parent / "crproxy"), "doctor", "--json", *options]
    done = subprocess.run(
        node.command([*before, *command]),
        cwd=directory,
        env=clean_environment(directory, **node.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )
    assert done.stderr == "", done.stderr
    document = json.loads(done.stdout)
    cause = document["first_cause"]
    findings = tuple(Found(**found) for found in document["findings"])
    return Report(done.returncode, findings, None if cause is None else Found(**cause))
