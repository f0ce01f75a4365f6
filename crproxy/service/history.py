"""The numbers of a day and a month, noted each minute and kept in a small file: by one worker for all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client.core import Metric
from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..metrics.labels import NONE
from ..metrics.requests import Served
from ..policy.history import History, Totals

__all__ = ["HistoryService", "totals_of"]

# Seconds between two notes; and notes between two writes.
_NOTE = 60.0
_WRITE_EACH = 5


def totals_of(metrics: Iterable[Metric]) -> Totals:
    """Return what has been counted, by the metrics of all workers."""
    metrics = list(metrics)
    served = Served.of(metrics)
    samples = [sample for metric in metrics for sample in metric.samples]

    def total(name: str) -> int:
        # Pages and refusals, which have nothing to do with the cache, are nothing that was served.
        return int(sum(one.value for one in samples if one.name == name and one.labels.get("cache") != NONE))

    return Totals(
        served.looked_up,
        served.hits,
        total("crproxy_sent_bytes_total"),
        total("crproxy_upstream_received_bytes_total"),
    )


class HistoryService(Service):
    """Notes them while it runs.

    Arguments:
        path: of the file, which is read when it starts.
        read: returns what has been counted since the start of the daemon.
        clock: the time.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self, path: Path, read: Callable[[], Totals], clock: IReactorTime, *, now: Callable[[], float]
    ) -> None:
        self.history = History()
        self._path = path
        self._read = read
        self._now = now
        self._until_write = _WRITE_EACH
        self._failing = False
        self._noting = LoopingCall(self._note)
        self._noting.clock = clock

    def startService(self) -> None:
        """Read what there was, and begin (IService)."""
        super().startService()
        try:
            self.history = History.of_document(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self._log.warn("the history {path} is begun anew: {error}", path=str(self._path), error=error)
        self._noting.start(_NOTE)

    def stopService(self) -> None:
        """Write what there is, and end (IService)."""
        super().stopService()
        if self._noting.running:
            self._noting.stop()
        self.look()
        self._write()

    def look(self) -> History:
        """Return what there is, up to now."""
        self.history.note(self._read(), self._now())
        return self.history

    def _note(self) -> None:
        try:
            self.look()
        except Exception:
            # The next one may go better, and nothing else depends on it.
            self._log.failure("what was counted is not noted")
            return
        self._until_write -= 1
        if self._until_write <= 0:
            self._until_write = _WRITE_EACH
            self._write()

    def _write(self) -> None:
        """Write some 20 KiB into the file: whole, or not at all."""
        beside = self._path.with_suffix(".new")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
                json.dump(self.history.document(), file)
            beside.replace(self._path)
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._log.warn("the history cannot be written: {error}", error=error)
            self._failing = True
