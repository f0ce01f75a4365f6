"""The CAs that lie in the data directory: read, made when a new one is due, and which of them signs for a name.

All workers read the same files; the first that finds one missing makes it, under a lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.logger import Logger

from ..policy.authorities import Standing, counting, ends_before, is_due, signer_for
from .authority import Authority, BadAuthority

__all__ = ["DIRECTORY", "Authorities", "NotReached"]

# Below the data directory.
DIRECTORY = "proxy-ca"
_SUFFIX = ".pem"
_LOCK = "lock"


class NotReached(Exception):
    """What all nodes have in common cannot be asked now; the message says why."""


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
        # Where each lies, by its fingerprint: copies have other names than ours.
        self._lying: dict[str, list[Path]] = {}

    @property
    def trusted(self) -> list[Authority]:
        """Those that clients are to trust, the oldest first."""
        return [self._known[one] for one in counting(self._known, self._now())]

    def signer_for(self, name: str) -> Authority | None:
        """Return which of them signs for ``name`` now; None where none may."""
        found = signer_for(self._known, name, self._now())
        return None if found is None else self._known[found]

    def newest(self, authorities: Iterable[Authority] | None = None) -> float:
        """Return when the last of them began, in seconds since the epoch; 0 where none has.

        Arguments:
            authorities: those; None is all that are known here. What a clock has made that was wrong is none of them.
        """
        known = self._known.values() if authorities is None else authorities
        return max((one.not_before for one in known if one.not_before <= self._now()), default=0.0)

    def is_due(self, names: frozenset[str]) -> bool:
        """Tell whether there is to be a new one: none is for exactly ``names``, or the last one ends soon."""
        return bool(names) and is_due(self._known, names, self._now())

    def make(self, names: frozenset[str]) -> Authority:
        """Return a new one, which is nowhere yet."""
        now = self._now()
        return Authority.new(names, now, after=self.newest(), until=ends_before(self._known, names, now))

    def seconds_left(self, authorities: Iterable[Authority]) -> float:
        """Return for how many seconds the last of them counts."""
        return max((authority.not_after - self._now() for authority in authorities), default=0.0)

    def read(self) -> None:
        """Look at what lies there. Raises OSError."""
        known: dict[Standing, Authority] = {}
        lying: dict[str, list[Path]] = {}
        for file in self._files():
            try:
                authority = Authority.from_pem(file.read_bytes())
            except FileNotFoundError:
                # Another worker has just removed it.
                continue
            except BadAuthority as error:
                self._log.warn("{file} is left aside: {error}", file=str(file), error=error)
                continue
            standing = Standing(authority.names, authority.not_before, authority.not_after, authority.fingerprint)
            # What was signed by it goes on being shown.
            known[standing] = self._known.get(standing, authority)
            lying.setdefault(authority.fingerprint, []).append(file)
        self._known, self._lying = known, lying

    def refresh(self, names: frozenset[str]) -> None:
        """Read them, and make a new one where it is due.

        Raises:
            OSError: the directory cannot be read or written.
        """
        self.read()
        if not self.is_due(names):
            return
        with self._lock():
            self.read()
            if self.is_due(names):
                self._keep(self.make(names))
                self.read()

    def renew(self, names: frozenset[str], *, at_once: bool) -> Authority:
        """Make a new one whether or not it is due. Raises OSError.

        Arguments:
            at_once: those before it are removed.
        """
        with self._lock():
            self.read()
            made = self.make(names)
            self._hold([made] if at_once else [*self.trusted, made])
        return made

    def take(self, authorities: Collection[Authority]) -> None:
        """Have those and no others. Raises OSError."""
        with self._lock():
            self.read()
            self._hold(authorities)

    def _hold(self, authorities: Collection[Authority]) -> None:
        for authority in authorities:
            if authority.fingerprint not in self._lying:
                self._keep(authority)
        wanted = {authority.fingerprint for authority in authorities}
        for fingerprint in self._lying.keys() - wanted:
            for file in self._lying[fingerprint]:
                file.unlink(missing_ok=True)
        self.read()

    def _keep(self, made: Authority) -> None:
        file = self._directory / f"{made.certificate.serial_number:040x}{_SUFFIX}"
        beside = file.with_suffix(".new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written:
            written.write(made.to_pem())
            written.flush()
            os.fsync(written.fileno())
        beside.rename(file)
        self._log.info(
            "a new CA for {number} names of registries: {fingerprint}",
            number=len(made.names),
            fingerprint=made.fingerprint,
        )

    def _files(self) -> list[Path]:
        # Path.glob finds nothing where it may not look.
        try:
            return sorted(file for file in self._directory.iterdir() if file.suffix == _SUFFIX)
        except FileNotFoundError:
            return []

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._directory / _LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
