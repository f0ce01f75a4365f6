"""The audit log as a service: a line for each request, in a file of its own or among the daemon's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ..config import Audit, Config
from ..policy.audit import Format, Record, Repeated, fields, write_line
from .log_file import LogFile, Written

__all__ = ["AuditLog"]


class AuditLog(Service):
    """Writes a line for each request that it is told of.

    Arguments:
        current: returns the configuration that counts now.
        reactor: for its clock and its threads.
    """

    def __init__(self, current: Callable[[], Config], reactor: Any) -> None:
        self._current = current
        self._reactor = reactor
        self._audit = Audit()
        self._file: LogFile | None = None
        # As an attribute of the class it would take this module's name.
        self._log = Logger(namespace="crproxy.audit")

    def startService(self) -> None:
        """Open the file (IService)."""
        super().startService()
        self.reopen()

    def stopService(self) -> Deferred[None] | None:
        """Write what is left (IService)."""
        super().stopService()
        return None if self._file is None else self._file.close()

    def observe(self, record: Record) -> None:
        """Write a line for ``record``."""
        if self._file is None:
            found = fields(record)
            self._log.info("{line}", line=write_line(record, Format.COMBINED, found), audit=found)
        else:
            self._file.add(write_line(record, self._audit.style))

    def observe_again(self, repeated: Repeated, moment: float, client: str | None) -> None:
        """Write a line for a request that was answered before, and came again at ``moment`` from ``client``."""
        if self._file is None:
            line = repeated.line(Format.COMBINED, moment, client)
            self._log.info("{line}", line=line, audit=repeated.fields(moment, client))
        else:
            self._file.add(repeated.line(self._audit.style, moment, client))

    def reopen(self) -> None:
        """Open the file that is configured now, be it the same: it may have been moved away."""
        self._audit = self._current().audit
        if self._audit.file is None:
            before, self._file = self._file, None
            if before is not None:
                before.close()
            return
        if self._file is None:
            self._file = LogFile(self._audit.file, self._reactor, self._in_a_thread)
        self._file.open(self._audit.file)

    def _in_a_thread(self, work: Callable[[], Written]) -> Deferred[Written]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)
