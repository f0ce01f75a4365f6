"""Certificates that an operator keeps in a directory: NAME.pem, with key and chain, taken up as they change.

A file that cannot be used changes nothing: what was shown before is shown on, and the log says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..oci.names import canonical_host
from .certificates import BadCertificate, Certified

__all__ = ["Watch"]

# Seconds between two looks: a stat for each file, which costs nothing, and works on every file system.
_INTERVAL = 2.0
# As many new files are told of each by itself.
_TOLD_ONE_BY_ONE = 20

# What tells one version of a file from the next: size, time of change, and inode, which a rename brings.
_Mark = tuple[int, int, int]


class Watch(Service):
    """Watches one directory.

    Arguments:
        directory: where the files are.
        place: told the names and what they have now, whenever that changes; a Deferred fires when it is so everywhere.
        clock: the time.
        now: seconds since the epoch, by which certificates end; the clock's by default.
        is_told: the log says what there is at the start, and what cannot be used: all workers look at the same files.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        place: Callable[[Mapping[str, Certified]], Deferred[Any] | None],
        clock: IReactorTime,
        *,
        now: Callable[[], float] | None = None,
        is_told: bool = True,
    ) -> None:
        self._is_told = is_told
        self._directory = directory
        self._place = place
        self._clock = clock
        self._now = now or clock.seconds
        self._marks: dict[str, _Mark] = {}
        self._held: dict[str, dict[str, Certified]] = {}
        self._call: IDelayedCall | None = None
        self._trouble = ""

    def startService(self) -> None:
        """Look, and go on looking (IService)."""
        super().startService()
        self.look(is_told=self._is_told)
        self._call = self._clock.callLater(_INTERVAL, self._look_again)

    def stopService(self) -> None:
        """Look no more (IService)."""
        super().stopService()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def look(self, *, is_told: bool = True) -> None:
        """Take up what has changed since the last look.

        Arguments:
            is_told: the log says what it is, once it is so everywhere.
        """
        try:
            found = {path.name: _mark(path) for path in self._directory.iterdir() if path.suffix == ".pem"}
        except OSError as error:
            self._complain(f"{self._directory} cannot be read, so what it had is used on: {error.strerror}")
            return
        self._trouble = ""
        changed = [name for name, mark in found.items() if self._marks.get(name) != mark]
        gone = [name for name in self._marks if name not in found]
        for name in gone:
            self._held.pop(name, None)
        read = [name for name in changed if self._read(self._directory / name)]
        self._marks = found
        if not changed and not gone:
            return
        # A file for exactly this name wins over one that covers it besides others.
        others = {name: one for held in self._held.values() for name, one in held.items()}
        named = {name: held[name] for file, held in self._held.items() if (name := _stem(file)) in held}
        placed = self._place({**others, **named})
        if is_told:
            (placed or succeed(None)).addBoth(lambda _: self._tell(read, gone))

    def _look_again(self) -> None:
        self._call = self._clock.callLater(_INTERVAL, self._look_again)
        self.look()

    def _tell(self, read: list[str], gone: list[str]) -> None:
        """Say what is used from now on: of many files together, since each line takes as long as reading one."""
        for name in gone:
            self._log.info("{file} is gone: its certificate is not used any more", file=self._directory / name)
        read = [name for name in read if name in self._held]
        if len(read) > _TOLD_ONE_BY_ONE:
            self._log.info(
                "{count} files in {directory} are used for {names} names",
                count=len(read),
                directory=str(self._directory),
                names=len({name for file in read for name in self._held[file]}),
            )
            return
        for file in read:
            names = ", ".join(sorted(self._held[file]))
            self._log.info("{path} is used for {names}", path=self._directory / file, names=names)

    def _read(self, path: Path) -> bool:
        """Hold the certificate of a file; tell whether it can be used."""
        try:
            certified = Certified.from_pem(path.read_bytes())
        except (OSError, BadCertificate) as error:
            kept = ", so what it had before is used on" if path.name in self._held else ""
            if self._is_told:
                self._log.error("{path} cannot be used{kept}: {error}", path=path, kept=kept, error=error)
            return False
        names = certified.names or frozenset({_stem(path.name)})
        if certified.not_after < self._now() and self._is_told:
            ended = time.strftime("%Y-%m-%d", time.gmtime(certified.not_after))
            self._log.error("{path} has a certificate that ended on {ended}: replace it", path=path, ended=ended)
        self._held[path.name] = {name.lower(): certified for name in names}
        return True

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if self._is_told:
                self._log.error("{trouble}", trouble=trouble)


def _stem(file: str) -> str:
    name = file.removesuffix(".pem")
    wildcard, dot, parent = name.partition(".")
    if wildcard in ("*", "_wildcard") and dot:
        return f"*.{canonical_host(parent) or parent}"
    return canonical_host(name) or name


def _mark(path: Path) -> _Mark:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino
