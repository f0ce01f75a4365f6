"""What the daemon runs with, beside what its file says now: in words that give no secret away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Loaded"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Where the running configuration comes from, and what is different there now.

    Arguments:
        file: it is read from; None where there is none.
        read_at: when it was, in seconds since the epoch.
        changed: what a reload would change, a few words for each table (config/changes.py).
        late: the keys that only a restart would change.
        trouble: why the file could not be read again as it is now; empty where it could.
        options: what was said beside the file, as words of a command line; None where the daemon does not tell.
    """

    file: str | None
    read_at: float
    changed: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    trouble: str = ""
    options: tuple[str, ...] | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Loaded:
        """Return what a daemon has answered. Raises KeyError, TypeError and ValueError where that is something else."""
        file, options = document["file"], document.get("options")
        return cls(
            None if file is None else str(file),
            float(document["read_at"]),
            tuple(map(str, document["changed"])),
            tuple(map(str, document["late"])),
            str(document["trouble"]),
            None if options is None else tuple(map(str, options)),
        )

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)
