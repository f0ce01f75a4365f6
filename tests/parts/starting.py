"""The daemon as it starts, wherever that leads: it serves and says so to its service manager, or ends and says why."""

from __future__ import annotations

import re
import select
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .node import HERE, Node
from .process import clean_environment
from .waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Started", "started"]

_PATIENCE = 60
# What Twisted's log puts in front of a line, and twistd in front of a mistake in its options: its own name.
_PREFIX = re.compile(r"^(?:\S+ \[[^\]]*\] |\S*twistd(?: -\S+)*: )")
_COMPLAINT = re.compile(r"^\S+ \[[^\]]*#(?:warning|error|critical)\] (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Started:
    """What came of a start.

    Arguments:
        status: the exit status; None where it runs.
        said: the line that it ended with, or all warnings and errors of its log: each text once, whichever workers
            tell it, each of what it has opened itself.
        log: all that it wrote.
    """

    status: int | None
    said: tuple[str, ...]
    log: str


@contextmanager
def started(
    directory: Path,
    *options: str,
    node: Node = HERE,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Started]:
    """Start ``twistd crproxy``, and give what came of it; at the end of the block it ends.

    Arguments:
        directory: where it runs; also its home.
        before: what it is run by, such as setpriv.
        environment: more variables.
    """
    twistd = str(Path(sys.executable).parent / "twistd")
    command = node.command([*before, twistd, "-n", "--pidfile=", "crproxy", *options])
    out, err = directory / "start.out", directory / "start.err"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, out.open("wb") as o, err.open("wb") as e:
        manager.bind(str(directory / "notify"))
        variables = clean_environment(
            directory, **node.environment, **(environment or {}), NOTIFY_SOCKET=str(directory / "notify")
        )
        child = subprocess.Popen(command, cwd=directory, env=variables, stdin=subprocess.DEVNULL, stdout=o, stderr=e)
        try:
            until(lambda: child.poll() is not None or _is_ready(manager), _PATIENCE)
            yield _result(child.poll(), out.read_text("utf-8"), err.read_text("utf-8"))
        finally:
            child.terminate()
            child.wait(_PATIENCE)
            (directory / "notify").unlink()


def _is_ready(manager: socket.socket) -> bool:
    """Tell whether the daemon has said that it serves (sd_notify(3))."""
    readable, _, _ = select.select([manager], [], [], 0)
    return bool(readable) and b"READY=1" in manager.recv(65536)


def _result(status: int | None, out: str, err: str) -> Started:
    log = out + err
    if status is None:
        return Started(None, tuple(dict.fromkeys(_COMPLAINT.findall(log))), log)
    lines = [line for line in (err if err.strip() else out).splitlines() if line.strip()]
    return Started(status, (_PREFIX.sub("", lines[-1]),), log)
