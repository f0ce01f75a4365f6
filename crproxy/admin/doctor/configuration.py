"""Reading the configuration: does it parse, and may the files that it names be read?"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ...config import Config, ConfigError, OptionError, Options
from ..configuration_file import config_file, read_config, read_text
from .findings import Area, Finding, failed, fine

__all__ = ["Reading", "read", "whoever"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading the configuration.

    Arguments:
        config: None where it cannot be used.
    """

    config: Config | None
    findings: list[Finding]


@dataclass(slots=True)
class _Files:
    """Reads files, and remembers how that went."""

    read: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)

    def __call__(self, path: str) -> str:
        try:
            text = read_text(path)
        except PermissionError:
            self.denied.append(path)
            raise
        self.read.append(path)
        return text


def read(path: str | None, options: Options, system: Path) -> Reading:
    """Read the configuration, as the daemon does.

    Arguments:
        path: the file; None is ``system``, if that is there.
    """
    files = _Files()
    try:
        where = config_file(path, system)
        config = read_config(path, options, system=system, read_file=files)
    except ConfigError as error:
        return Reading(None, [_refused(path or str(system), files, error)])
    except OSError as error:
        return Reading(None, [_unreadable(str(system), error.strerror or str(error))])
    said = "there is no file: everything is as it is by default" if where is None else "it can be used"
    others = [fine(Area.PERMISSIONS, one, "can be read") for one in files.read if one != where]
    return Reading(config, [fine(Area.CONFIGURATION, where or str(system), said), *others])


def whoever() -> str:
    """Return who the doctor is, for people."""
    return "root" if os.geteuid() == 0 else f"the user with the number {os.geteuid()}"


def _refused(file: str, files: _Files, error: ConfigError) -> Finding:
    if files.denied:
        return _unreadable(files.denied[-1], "Permission denied")
    if isinstance(error, OptionError):
        return failed(Area.CONFIGURATION, "command line", str(error), "Correct the option")
    return failed(Area.CONFIGURATION, file, str(error), "Correct it; docs/configuration.md has every key")


def _unreadable(path: str, why: str) -> Finding:
    return failed(
        Area.PERMISSIONS,
        path,
        f"cannot be read by {whoever()}: {why}",
        "Let the user that crproxy runs as read it (chgrp, chmod 640, or LoadCredential= of systemd), and run this as "
        "that user or as root",
    )
