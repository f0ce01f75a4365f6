"""Findings for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from .findings import Finding, Outcome, first_cause, worst
from .grouping import grouped

__all__ = ["Printed", "exit_status", "to_json"]

_COLOURS = {Outcome.OK: "green", Outcome.SKIPPED: "dim", Outcome.WARNING: "yellow", Outcome.FAILED: "bold red"}
_WIDTH = max(len(outcome.value) for outcome in Outcome)


class Printed:
    """Findings as lines, each as soon as it is there, and those with the same cause as one.

    Arguments:
        console: where they go.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: list[Finding] = []

    def add(self, findings: Iterable[Finding]) -> None:
        """Print some, which are all that may have a cause in common."""
        for finding in grouped(findings):
            self._printed.append(finding)
            self._line(finding)

    def end(self) -> None:
        """Print what all of them come to."""
        cause = first_cause(self._printed)
        counted = {outcome: sum(finding.outcome is outcome for finding in self._printed) for outcome in Outcome}
        numbers = ", ".join(f"{count} {outcome.value}" for outcome, count in counted.items() if count)
        self._console.print()
        if cause is None:
            self._print(Text(f"All is well: {numbers}.", _COLOURS[Outcome.OK]))
            return
        self._print(Text(f"{numbers}. Begin with this:", _COLOURS[cause.outcome]))
        self._line(cause)

    def _line(self, finding: Finding) -> None:
        line = Text(f"{finding.outcome.value:<{_WIDTH}}", _COLOURS[finding.outcome])
        line.append(f"  {finding.area.value}: {finding.subject}: {finding.text}", "not bold not dim default")
        self._print(line)
        if finding.advice:
            self._print(Text(f"{'':<{_WIDTH}}  -> {finding.advice}"))

    def _print(self, line: Text) -> None:
        # One finding is one line, whoever reads it: a person's terminal, grep, a bug report.
        self._console.print(line, soft_wrap=True, highlight=False)


def to_json(findings: list[Finding]) -> str:
    """Return all findings as one document."""
    cause = first_cause(findings)
    document = {
        "status": worst(findings).value,
        "first_cause": None if cause is None else _document(cause),
        "findings": [_document(finding) for finding in findings],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def exit_status(findings: list[Finding], *, strict: bool) -> int:
    """Return 0 where all is well, 1 where something failed, 2 where ``strict`` does not bear a warning."""
    match worst(findings):
        case Outcome.FAILED:
            return 1
        case Outcome.WARNING:
            return 2 if strict else 0
        case _:
            return 0


def _document(finding: Finding) -> dict[str, str]:
    return {
        "area": finding.area.value,
        "subject": finding.subject,
        "outcome": finding.outcome.value,
        "text": finding.text,
        "advice": finding.advice,
    }
