"""May the daemon do what it has to? Ports below 1024, the data directory, certificates, its own socket."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ...config import Config
from ...policy.endpoints import Endpoint, parse_endpoint
from ..endpoint import admin_endpoint
from .configuration import whoever
from .daemon import Daemon
from .environment import ProbeEnvironment
from .filesystem import file_system
from .findings import Area, Finding, failed, fine, skipped
from .ports import taken

__all__ = ["check_permissions", "nearest"]


def check_permissions(config: Config, daemon: Daemon, environment: ProbeEnvironment) -> list[Finding]:
    """Return what may be done, by whoever the doctor is; a port that the daemon has already it may have."""
    ports = [_port(one, daemon, environment) for one in _descriptions(config, daemon)]
    return [*filter(None, ports), _data_dir(Path(config.data_dir)), *_certs(config), *_socket(config)]


def _descriptions(config: Config, daemon: Daemon) -> Iterator[str]:
    """Give where it listens for clients, and, if it does not run and so has none of them, for all others."""
    yield from (description for description, _ in config.client_endpoints)
    if daemon.runs:
        return
    if config.metrics.listen is not None:
        yield config.metrics.listen
    if config.fleet is not None:
        yield from config.fleet.listen


def nearest(directory: Path) -> Path:
    """Return ``directory``, or as much of its path as there is. Raises OSError."""
    directory = directory.absolute()
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return directory


def _port(description: str, daemon: Daemon, environment: ProbeEnvironment) -> Finding | None:
    endpoint = parse_endpoint(description)
    known = daemon.answers.get(description)
    if endpoint.kind not in ("tcp", "tcp6", "ssl") or not endpoint.port:
        return None
    if known is not None and known.connected:
        # Whoever has it, it is not for want of privileges.
        return fine(Area.PERMISSIONS, description, "is listened on")
    why = _bind(endpoint)
    if why is None:
        return fine(Area.PERMISSIONS, description, "may be listened on")
    if why.errno == errno.EACCES:
        return failed(
            Area.PERMISSIONS,
            description,
            f"may not be listened on by {whoever()}: ports below 1024 are privileged",
            "Start crproxy by its systemd unit, which has the right, or as root, or choose another port where it is "
            "configured",
        )
    if why.errno == errno.EADDRINUSE:
        return taken(description, environment.holder(endpoint))
    return failed(
        Area.PORTS,
        description,
        f"cannot be listened on: {why.strerror}",
        "Correct the endpoint where it is configured: its address has to be one of this machine's (ip address)",
    )


def _bind(endpoint: Endpoint) -> OSError | None:
    """Return what hinders listening; None where nothing does. The port is free again afterwards."""
    family = socket.AF_INET6 if endpoint.kind == "tcp6" else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((endpoint.interface, endpoint.port or 0))
    except OSError as error:
        return error
    return None


def _data_dir(directory: Path) -> Finding:
    advice = (
        "Run this as the user that crproxy runs as, or as root; if that is who you are, let it write there: "
        f"chown it, or name another directory as data_dir. {_owner(directory)}"
    )
    try:
        found = nearest(directory)
    except OSError as error:
        return failed(Area.PERMISSIONS, str(directory), f"cannot be looked at by {whoever()}: {error.strerror}", advice)
    if not os.access(found, os.W_OK | os.X_OK):
        if _is_read_only(found):
            # It is nobody's fault who may write what.
            return skipped(Area.PERMISSIONS, str(directory), "its disk is read-only: see the disk")
        return failed(Area.PERMISSIONS, str(found), f"cannot be written by {whoever()}", advice)
    said = "can be written" if found == directory.absolute() else "is made at the first start"
    return fine(Area.PERMISSIONS, str(directory), said)


def _is_read_only(directory: Path) -> bool:
    try:
        return file_system(directory).read_only
    except OSError:
        return False


def _owner(directory: Path) -> str:
    try:
        return f"It belongs to the user with the number {directory.stat().st_uid}"
    except OSError:
        return ""


def _certs(config: Config) -> Iterator[Finding]:
    if config.certs is None or not config.listen.https:
        return
    directory = Path(config.certs)
    try:
        files = sorted(directory.glob("*.pem"))
        denied = [file for file in files if not os.access(file, os.R_OK)]
        readable = directory.is_dir() and os.access(directory, os.R_OK | os.X_OK)
    except OSError:
        readable, files, denied = False, [], []
    if not readable or denied:
        what = ", ".join(map(str, denied)) or str(directory)
        yield failed(
            Area.PERMISSIONS,
            what,
            f"cannot be read by {whoever()}",
            "Let the user that crproxy runs as read it",
        )
        return
    yield fine(Area.PERMISSIONS, str(directory), f"can be read, with {len(files)} files")


def _socket(config: Config) -> Iterator[Finding]:
    path = parse_endpoint(admin_endpoint(config)).path
    if not path:
        return
    advice = "Run this as root, or as a user of the group that the socket belongs to"
    try:
        there = Path(path).exists()
    except OSError as error:
        yield failed(Area.PERMISSIONS, path, f"cannot be looked at by {whoever()}: {error.strerror}", advice)
        return
    if there and not os.access(path, os.R_OK | os.W_OK):
        yield failed(Area.PERMISSIONS, path, f"cannot be connected to by {whoever()}", advice)
    elif there:
        yield fine(Area.PERMISSIONS, path, "can be connected to")
