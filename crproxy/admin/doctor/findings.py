"""What was found: values, in the order in which causes come before what they cause.

Knows nothing of what is looked at, nor of how it is shown.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass

__all__ = [
    "Area",
    "Finding",
    "Outcome",
    "Told",
    "failed",
    "fine",
    "first_cause",
    "settled",
    "skipped",
    "warning",
    "worst",
]


class Outcome(enum.Enum):
    """How it stands with what was looked at."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


class Area(enum.Enum):
    """What is looked at: a cause stands before what fails because of it."""

    CONFIGURATION = "configuration"
    PERMISSIONS = "permissions"
    DISK = "disk"
    CLOCK = "clock"
    DAEMON = "daemon"
    DNS = "dns"
    PORTS = "ports"
    AUTHORITY = "ca"
    CERTIFICATES = "certificates"
    PROXY = "proxy"
    FLEET = "fleet"
    STORAGE = "storage"
    UPSTREAMS = "upstreams"
    ACCESS = "access"
    DOCTOR = "doctor"


_CAUSES_FIRST = {area: number for number, area in enumerate(Area)}
_SEVERITY = {outcome: number for number, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of several subjects at once.

    Arguments:
        text: what was seen at all of them.
        advice: what to do about it.
    """

    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Arguments:
        subject: a name, a path, an endpoint.
        text: what was seen there.
        advice: what to do about it, as a sentence; empty where there is nothing to do.
        common: what is said of this and others together whose cause is the same; None is the same text and advice.
        depends_on: what this is no fault of its own beside, if that has failed.
    """

    area: Area
    subject: str
    outcome: Outcome
    text: str
    advice: str = ""
    common: Told | None = None
    depends_on: Area | None = None


def fine(area: Area, subject: str, text: str, common: Told | None = None) -> Finding:
    """Return that all is well with ``subject``."""
    return Finding(area, subject, Outcome.OK, text, common=common)


def skipped(area: Area, subject: str, why: str) -> Finding:
    """Return that ``subject`` was not looked at."""
    return Finding(area, subject, Outcome.SKIPPED, why)


def warning(area: Area, subject: str, text: str, advice: str) -> Finding:
    """Return what works, and perhaps should not stay so."""
    return Finding(area, subject, Outcome.WARNING, text, advice)


def failed(
    area: Area,
    subject: str,
    text: str,
    advice: str,
    *,
    common: Told | None = None,
    depends_on: Area | None = None,
) -> Finding:
    """Return what does not work."""
    return Finding(area, subject, Outcome.FAILED, text, advice, common, depends_on)


def settled(findings: Iterable[Finding], broken: Collection[Area]) -> list[Finding]:
    """Return ``findings``; what failed only because of one of the areas that are ``broken`` is skipped."""
    return [
        skipped(finding.area, finding.subject, f"it depends on what failed: {finding.depends_on.value}")
        if finding.outcome is Outcome.FAILED and finding.depends_on in broken and finding.depends_on is not None
        else finding
        for finding in findings
    ]


def worst(findings: Iterable[Finding]) -> Outcome:
    """Return how it stands with all of them together: OK, WARNING or FAILED."""
    found = max((finding.outcome for finding in findings), key=_SEVERITY.__getitem__, default=Outcome.OK)
    return Outcome.OK if found is Outcome.SKIPPED else found


def first_cause(findings: Iterable[Finding]) -> Finding | None:
    """Return the failure that others may come from, else the first warning; None where all is well."""
    found = list(findings)
    for outcome in (Outcome.FAILED, Outcome.WARNING):
        bad = [finding for finding in found if finding.outcome is outcome]
        if bad:
            return min(bad, key=lambda finding: _CAUSES_FIRST[finding.area])
    return None
