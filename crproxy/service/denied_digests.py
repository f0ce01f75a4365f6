"""The file of digests that are known to be bad, read again whenever it changes: without a reload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..config import Config
from ..oci.digests import Digest
from ..policy.denied_digests import parse_denied

__all__ = ["DeniedDigests"]

# Seconds between two looks.
_EVERY = 1.0

# What tells one state of a file from another.
_State = tuple[str, int, int, int] | None


class DeniedDigests(Service):
    """Has them while it runs. A file that cannot be read, or has a mistake, changes nothing.

    Arguments:
        current: returns the configuration that counts now.
        read_file: returns the text of a file. Raises OSError, UnicodeDecodeError.
        clock: the time.
    """

    _log = Logger()

    def __init__(self, current: Callable[[], Config], read_file: Callable[[str], str], clock: IReactorTime) -> None:
        self._current = current
        self._read_file = read_file
        self._config: Config | None = None
        self._digests: frozenset[Digest] = frozenset()
        self._state: _State = None
        self._failing = False
        self._looking = LoopingCall(self.look)
        self._looking.clock = clock

    def __call__(self) -> frozenset[Digest]:
        """Return those that count now."""
        config = self._current()
        if config is not self._config:
            # It was just read with the configuration.
            self._config, self._digests = config, config.access.denied_digests
        return self._digests

    def startService(self) -> None:
        """Begin (IService)."""
        super().startService()
        self._looking.start(_EVERY)

    def stopService(self) -> None:
        """End (IService)."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()

    def look(self) -> None:
        """Read the file again, if it is another than before."""
        path, before = self._current().access.deny_digests_file, self()
        state = None if path is None else _state(path)
        if path is None or state == self._state:
            return
        first, self._state = self._state is None, state
        try:
            self._digests = parse_denied(self._read_file(path))
        except (OSError, UnicodeDecodeError, ValueError) as error:
            if not self._failing:
                self._log.error(
                    "{path} was not read again, the digests that were denied still are: {error}",
                    path=path,
                    error=getattr(error, "strerror", None) or error,
                )
            self._failing = True
            return
        self._failing = False
        if not first or self._digests != before:
            self._log.info("{path} was read again: {number} digests are denied", path=path, number=len(self._digests))


def _state(path: str) -> _State:
    try:
        found = Path(path).stat()
    except OSError:
        return path, 0, 0, 0
    return path, found.st_mtime_ns, found.st_size, found.st_ino
