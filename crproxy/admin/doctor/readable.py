"""May the daemon's user read what the configuration names? Asked where the doctor is root, who may read everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from .findings import Area, Finding, Outcome
from .identity import User, hindrance

__all__ = ["check_readable"]


def check_readable(files: Iterable[str], user: User | None) -> list[Finding]:
    """Return which of ``files`` that user may not read.

    Arguments:
        user: whom the daemon runs as; None where that cannot be told, or does not matter.
    """
    return [] if user is None else list(_refused(files, user))


def _refused(files: Iterable[str], user: User) -> Iterator[Finding]:
    for file in files:
        try:
            part = hindrance(Path(file), user)
        except OSError:
            # It has gone since it was read.
            continue
        if part is not None:
            yield _finding(file, part, user)


def _finding(file: str, part: Path, user: User) -> Finding:
    whom = "whom crproxy runs as" if user.runs else "whom the data directory belongs to"
    within = f": {part} lets nobody through" if part.is_dir() else ""
    # Of a daemon that is not running its groups may be others.
    outcome = Outcome.FAILED if user.runs else Outcome.WARNING
    return Finding(
        Area.PERMISSIONS,
        file,
        outcome,
        f"can be read by root, and not by {user.name}, {whom}{within}",
        "Let that user read it (chgrp and chmod 640, or LoadCredential= of systemd): crproxy reads it when it is "
        "started or reloaded",
    )
