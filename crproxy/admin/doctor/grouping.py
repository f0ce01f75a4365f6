"""One cause is told once: what several names have in common becomes one finding that lists them.

For people alone: programs get a finding for each name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .findings import Area, Finding, Outcome, Told

__all__ = ["grouped", "listed"]

# So many are named; a line is still read then.
_MOST_NAMED = 3
# Between what is looked at and the step of looking, such as "quay.io: connection".
_STEP = ": "


def grouped(findings: Iterable[Finding]) -> list[Finding]:
    """Return ``findings``, those with the same cause as one, where the first of them was.

    What is well is told for each, unless it says what to tell of several.
    """
    groups: dict[tuple[Area, Outcome, Told | int], list[Finding]] = {}
    for number, finding in enumerate(findings):
        alone = finding.outcome is Outcome.OK and finding.common is None
        told = number if alone else finding.common or Told(finding.text, finding.advice)
        groups.setdefault((finding.area, finding.outcome, told), []).append(finding)
    return [_one_of(members) for members in groups.values()]


def listed(names: Sequence[str], most: int = _MOST_NAMED) -> str:
    """Return ``names`` as a person reads them: the first few, and how many there are beside."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def _one_of(members: Sequence[Finding]) -> Finding:
    first = members[0]
    if len(members) == 1:
        return first
    told = first.common or Told(first.text, first.advice)
    return replace(first, subject=_subjects([one.subject for one in members]), text=told.text, advice=told.advice)


def _subjects(subjects: Sequence[str]) -> str:
    """Return subjects in a line; a step that all of them are at, or whose steps they all are, is written once."""
    heads, steps = zip(*(subject.rpartition(_STEP)[::2] for subject in subjects), strict=True)
    if all(heads) and len(set(steps)) == 1:
        return f"{listed(heads)}{_STEP}{steps[0]}"
    if all(heads) and len(set(heads)) == 1:
        return f"{heads[0]}{_STEP}{listed(steps)}"
    return listed(subjects)
