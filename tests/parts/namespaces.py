"""A network of its own for programs and sockets (network_namespaces(7)), which ends with whoever made it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from .requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Namespace"]

_CLONE_NEWNET = 0x40000000


class Namespace:
    """One of them; leaving the ``with`` block ends it.

    Arguments:
        setup: a shell command that sets it up, in which ``$0`` is ip(8).
    """

    def __init__(self, setup: str) -> None:
        need_root("a network of a test's own")
        # It lives as long as the shell that made it, which lives as long as its standard input.
        self._holder = subprocess.Popen(
            [need("unshare"), "--net", "sh", "-c", f"{setup} && echo ready && exec cat", need("ip")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        assert said == "ready\n", said + self._holder.stdout.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate("")

    @property
    def pid(self) -> int:
        """The process that holds it."""
        return self._holder.pid

    @property
    def command(self) -> list[str]:
        """The words before a command that is to run in it. It replaces them: the process id stays."""
        return [need("nsenter"), f"--net=/proc/{self.pid}/ns/net"]

    def run(self, *command: str) -> None:
        """Run a command in it, which must succeed."""
        done = subprocess.run([*self.command, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread be in it within the block, with the sockets, threads and programs that it begins there.

        A socket stays where it was made, whoever uses it.
        """
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(f"/proc/{self.pid}/ns/net")
            yield
        finally:
            _set(before)
            os.close(before)


def _enter(path: str) -> None:
    namespace = os.open(path, os.O_RDONLY)
    try:
        _set(namespace)
    finally:
        os.close(namespace)


def _set(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # For this thread alone (setns(2)).
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
