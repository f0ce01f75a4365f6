"""Where the daemon's file, its data and its admin socket are, as the command finds them.

Of the configuration only what names the socket is looked at here, without the modules that read all of it: they take
longer to load than a command that asks the daemon takes to run, and a file with a mistake elsewhere names it as well.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ..policy.endpoints import parse_endpoint

__all__ = ["SOCKET_VARIABLE", "SYSTEM_CONFIG", "find_socket", "socket_paths", "usual_data_dir"]

SYSTEM_CONFIG = Path("/etc/crproxy/crproxy.toml")
SOCKET_VARIABLE = "CRPROXY_ADMIN"
# As crproxy/config/variables.py has them.
_CONFIG_VARIABLE, _DATA_VARIABLE = "CRPROXY_CONFIG", "CRPROXY_DATA_DIR"
_SYSTEM_SOCKET = Path("/run/crproxy/admin.sock")
# What the systemd unit's StateDirectory= is.
_SYSTEM_DATA = Path("/var/lib/crproxy")
_NAME = "admin.sock"


def usual_data_dir(environment: Mapping[str, str]) -> str:
    """Return systemd's directory for us (systemd.exec(5), StateDirectory), or the user's own."""
    directory = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if directory:
        return directory
    import platformdirs

    return platformdirs.user_data_dir("crproxy", appauthor=False)


def socket_paths(environment: Mapping[str, str], file: Path | None = None) -> Iterator[Path]:
    """Yield where an admin socket may be, the likeliest first.

    Arguments:
        file: the configuration; None is the environment's, else the system's.

    Raises:
        ClickException: the configuration says that there is none, or none that this command can ask.
    """
    named = environment.get(SOCKET_VARIABLE, "")
    if named and file is None:
        # Whoever names one wants no other.
        yield Path(named)
        return
    document = _document(file or Path(environment.get(_CONFIG_VARIABLE) or SYSTEM_CONFIG), file is not None)
    listen = document.get("listen")
    endpoint = listen.get("admin") if isinstance(listen, dict) else None
    if isinstance(endpoint, str):
        yield _path_of(endpoint)
        return
    configured = environment.get(_DATA_VARIABLE) or document.get("data_dir")
    if isinstance(configured, str):
        yield Path(configured) / _NAME
    yield _SYSTEM_SOCKET
    yield Path(usual_data_dir(environment)) / _NAME
    yield _SYSTEM_DATA / _NAME


def find_socket(given: Path | None, file: Path | None = None) -> Path:
    """Return the socket to connect to: the one that was given, else the first that is there, else the likeliest.

    Arguments:
        file: as for `socket_paths`.

    Raises:
        ClickException: as `socket_paths` does.
    """
    if given is not None:
        return given
    places = list(socket_paths(os.environ, file))
    return next((place for place in places if _may_be_there(place)), places[0])


def _document(file: Path, is_named: bool) -> Mapping[str, Any]:
    """Return what the file says; nothing, where nobody named it and it is no use."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        if not is_named:
            return {}
        why = getattr(error, "strerror", None) or str(error)
        raise click.ClickException(
            f"{file} cannot be read, so that it does not tell where the daemon is: {why}"
        ) from None


def _path_of(endpoint: str) -> Path:
    if not endpoint:
        raise click.ClickException('the configuration has admin = "" under [listen], so that nobody can ask the daemon')
    found = parse_endpoint(endpoint)
    if found.kind != "unix" or not found.path:
        raise click.ClickException(
            f"admin under [listen] is {endpoint!r}, and this command asks by a Unix socket: name one with --socket"
        )
    return Path(found.path)


def _may_be_there(path: Path) -> bool:
    try:
        return path.is_socket()
    except PermissionError:
        # What may not be looked at is worth a try, whose failure says why.
        return True
