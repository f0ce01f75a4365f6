"""Where the daemon's data and its admin socket are, where nobody says so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["SOCKET_VARIABLE", "find_socket", "socket_paths", "usual_data_dir"]

SOCKET_VARIABLE = "CRPROXY_ADMIN"
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


def socket_paths(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where an admin socket may be, the likeliest first."""
    named = environment.get(SOCKET_VARIABLE, "")
    if named:
        # Whoever names one wants no other.
        yield Path(named)
        return
    yield _SYSTEM_SOCKET
    yield Path(usual_data_dir(environment)) / _NAME
    yield _SYSTEM_DATA / _NAME


def find_socket(given: Path | None) -> Path:
    """Return the socket to connect to: the one that was given, else the first that is there, else the likeliest."""
    if given is not None:
        return given
    places = list(socket_paths(os.environ))
    return next((place for place in places if _may_be_there(place)), places[0])


def _may_be_there(path: Path) -> bool:
    try:
        return path.is_socket()
    except PermissionError:
        # What may not be looked at is worth a try, whose failure says why.
        return True
