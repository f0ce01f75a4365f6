"""Where the admin socket is: the endpoint that the daemon listens on for the crproxy command."""

from __future__ import annotations

from pathlib import Path

from ..config import Config

__all__ = ["admin_endpoint"]

# What unix(7) has room for.
_LONGEST_SOCKET_PATH = 107


def admin_endpoint(config: Config) -> str:
    """Return the endpoint: as configured, else in the data directory, if a socket's path fits; empty where none is."""
    if config.listen.admin is not None:
        return config.listen.admin
    path = str(Path(config.data_dir).absolute() / "admin.sock")
    fits = len(path.encode()) <= _LONGEST_SOCKET_PATH and ":" not in path
    return f"unix:{path}:mode=660" if fits else ""
