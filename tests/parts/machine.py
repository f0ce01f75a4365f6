"""A machine that commands can be typed on as they stand in the documentation.

It has a network of its own, where every port is free and only loopback leads anywhere, and its own /etc, /opt,
/usr/local and /var/lib over this one's: what is written there is gone with it.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
from typing import TYPE_CHECKING, Self

from .process import Process, clean_environment
from .requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Machine"]

_OVER = ("etc", "opt", "usr/local", "var/lib")
_ENTER = """
set -e
ip link set lo up
for each in "$@"; do
    mount -t overlay overlay -o "lowerdir=/$each,upperdir=$HOME/upper/$each,workdir=$HOME/work/$each" "/$each"
done
echo ready
exec sleep infinity
"""
_PATIENCE = 300


class Machine:
    """One that runs until the ``with`` block ends.

    Arguments:
        directory: where all lies that it writes, below ``upper``, where files may be laid beforehand; also the home of
            who types.
        names: host names that are loopback's.
    """

    def __init__(self, directory: Path, names: Iterable[str] = ()) -> None:
        need_root("a network and mounts of its own")
        self.home = directory
        # What pip does not compile, Python does when it imports it.
        self.environment = clean_environment(directory, PIP_NO_COMPILE="1")
        for each in _OVER:
            (directory / "upper" / each).mkdir(parents=True, exist_ok=True)
            (directory / "work" / each).mkdir(parents=True)
        hosts = ["127.0.0.1 localhost", *(f"127.0.0.1 {name}" for name in names), ""]
        (directory / "upper" / "etc" / "hosts").write_text("\n".join(hosts))
        command = [need("unshare"), "--mount", "--net", "sh", "-c", _ENTER, "sh", *_OVER]
        self._holder = Process(command, directory)
        self._holder.wait_for("ready")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.stop()

    @property
    def entering(self) -> list[str]:
        """The words before a command that is to see its files; with ``--net`` behind them, in its network as well."""
        return [need("nsenter"), f"--target={self._holder.pid}", "--mount"]

    def command(self, line: str, directory: Path, *, outside: bool = False) -> list[str]:
        """Return the words that run a command line there, in that directory.

        Arguments:
            outside: with this machine's network, for what fetches packages.
        """
        network = [] if outside else ["--net"]
        return [*self.entering, *network, "sh", "-c", 'cd "$1" && eval "exec $2"', "sh", str(directory), line]

    def type(self, line: str, directory: Path, *, outside: bool = False) -> str:
        """Run a command line to its end, and return what it printed; it must succeed."""
        done = subprocess.run(
            self.command(line, directory, outside=outside),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        return done.stdout

    def answer(self, line: str, directory: Path, question: str, answer: str) -> None:
        """Run a command line at a terminal, and give one answer as often as it asks."""
        child, terminal = pty.fork()
        if child == 0:
            words = self.command(line, directory)
            os.execvpe(words[0], words, self.environment)
        said, answered = "", 0
        while select.select([terminal], [], [], _PATIENCE)[0]:
            try:
                said += os.read(terminal, 4096).decode()
            except OSError:  # the terminal's other end is closed
                break
            while len(re.findall(question, said)) > answered:
                answered += 1
                os.write(terminal, f"{answer}\n".encode())
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, f"{line}\n{said}"
        assert answered, f"{line}\n{said}"

    def start(self, line: str, directory: Path) -> Process:
        """Start a command line that goes on."""
        return Process(self.command(line, directory), self.home, environment=self.environment)
