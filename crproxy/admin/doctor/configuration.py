"""Reading the configuration: does it parse, and may the files that it names be read?"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...config import Config, ConfigError, OptionError, Options
from ...config.variables import with_variables
from ..configuration_file import config_file, read_config, read_text
from .findings import Area, Finding, failed, fine, warning

__all__ = ["Reading", "read", "whoever"]

# Keys that name a file with a secret in it which is the same on many machines.
_OF_A_FLEET = (("fleet", "secret_file"), ("fleet", "valkey_password_file"), ("storage", "secret_access_key_file"))


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading the configuration.

    Arguments:
        config: None where it cannot be used.
        file: that was read; None where there is none.
        files: all that were read: that, and those that are named in it.
        options: what was said beside the file, as words of a command line.
    """

    config: Config | None
    findings: list[Finding]
    file: str | None = None
    files: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


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
    files, where = _Files(), path
    try:
        where = config_file(path, system)
        config = read_config(path, options, system=system, read_file=files)
    except ConfigError as error:
        return Reading(None, [_refused(where or str(system), files, error)])
    said = "there is no file: everything is as it is by default" if where is None else "it can be used"
    others = [fine(Area.PERMISSIONS, one, "can be read") for one in files.read if one != where]
    secret = [] if where is None else list(_secrets(where))
    findings = [fine(Area.CONFIGURATION, where or str(system), said), *others, *secret]
    return Reading(config, findings, where, tuple(files.read), with_variables(options, os.environ).words())


def whoever() -> str:
    """Return who the doctor is, for people."""
    return "root" if os.geteuid() == 0 else f"the user with the number {os.geteuid()}"


def _secrets(where: str) -> Iterator[Finding]:
    """Give who may read what the tables of a fleet name, of a configuration that can be used."""
    tables = tomllib.loads(read_text(where))
    for table, key in _OF_A_FLEET:
        path = tables.get(table, {}).get(key)
        if path is not None:
            yield _secret(Path(path))


def _secret(path: Path) -> Finding:
    """Return who may read a file with a secret in it: whoever has that of a fleet is a node.

    Raises:
        OSError: it cannot be looked at.
    """
    mode = path.stat().st_mode
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        who = "every user of this machine" if mode & (stat.S_IROTH | stat.S_IWOTH) else "its group"
        may = "read" if mode & stat.S_IROTH else "write"
        return warning(
            Area.PERMISSIONS,
            str(path),
            f"{who} may {may} it, and it is secret (mode {stat.S_IMODE(mode):o})",
            f"chmod 640 {path}, and let its group be the one that crproxy runs in; defaultMode: 0440 in Kubernetes",
        )
    return fine(Area.PERMISSIONS, str(path), f"is nobody else's (mode {stat.S_IMODE(mode):o})")


def _refused(file: str, files: _Files, error: ConfigError) -> Finding:
    if files.denied or isinstance(error.__cause__, PermissionError):
        return _unreadable(files.denied[-1] if files.denied else file, "Permission denied")
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
