"""The CAs that lie in the data directory: read, made when a new one is due, and which of them signs for a name.

All workers read the same files; the first that finds one missing makes it, under a lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.logger import Logger

from ..policy.authorities import Standing, is_due, signer_for
from .authority import Authority, BadAuthority

__all__ = ["Authorities"]

_SUFFIX = ".pem"
_LOCK = "lock"


class Authorities:
    """Those of a daemon. Nothing is read before `refresh`.

    Arguments:
        directory: where they lie; made where it is missing, for the daemon alone.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(self, directory: Path, now: Callable[[], float]) -> None:
        self._directory = directory
        self._now = now
        self._known: dict[Standing, Authority] = {}

    @property
    def trusted(self) -> list[Authority]:
        """Those that clients are to trust: all that count, the oldest first."""
        now = self._now()
        counting = [(one.since, authority) for one, authority in self._known.items() if one.counts(now)]
        return [authority for _, authority in sorted(counting, key=lambda each: each[0])]

    def signer_for(self, name: str) -> Authority | None:
        """Return which of them signs for ``name`` now; None where none may."""
        found = signer_for(self._known, name, self._now())
        return None if found is None else self._known[found]

    def refresh(self, names: frozenset[str]) -> None:
        """Read them, and make a new one if none is for exactly ``names``, or the last one ends soon.

        Raises:
            OSError: the directory cannot be read or written.
        """
        self._read()
        if not names or not is_due(self._known, names, self._now()):
            return
        with self._lock():
            self._read()
            if is_due(self._known, names, self._now()):
                self._make(names)

    def renew(self, names: frozenset[str]) -> Authority:
        """Make a new one whether or not it is due. Raises OSError."""
        with self._lock():
            self._read()
            return self._make(names)

    def _read(self) -> None:
        known = {}
        for file in sorted(self._directory.glob(f"*{_SUFFIX}")):
            try:
                authority = Authority.from_pem(file.read_bytes())
            except BadAuthority as error:
                self._log.warn("{file} is left aside: {error}", file=str(file), error=error)
                continue
            known[Standing(authority.names, authority.not_before, authority.not_after)] = authority
        self._known = known

    def _make(self, names: frozenset[str]) -> Authority:
        made = self._new(names)
        file = self._directory / f"{made.certificate.serial_number:040x}{_SUFFIX}"
        beside = file.with_suffix(".new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written:
            written.write(made.to_pem())
            written.flush()
            os.fsync(written.fileno())
        beside.rename(file)
        self._known[Standing(made.names, made.not_before, made.not_after)] = made
        self._log.info(
            "a new CA for {number} names of registries: {fingerprint}", number=len(names), fingerprint=made.fingerprint
        )
        return made

    def _new(self, names: frozenset[str]) -> Authority:
        """Return one that begins to count in a second of its own: by that it is told which is the oldest."""
        now, taken = self._now(), {one.since for one in self._known}
        while (made := Authority.new(names, now)).not_before in taken:
            now += 1
        return made

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._directory / _LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
