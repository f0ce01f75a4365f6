"""One worker's process, from its start to its end."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet.protocol import Factory
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsJSON,
    globalLogBeginner,
)
from twisted.python.threadable import isInIOThread
from zope.interface import implementer

from ..config import Log
from ..service.daemon_log import DaemonLog, portable
from ..service.event_loop import set_up
from .beginning import Beginning
from .channel import Channel
from .worker import CHANNEL

__all__ = ["main"]

# Seconds between two looks at what the workers have in common and nobody needs any more.
_TIDYING_SECONDS = 60.0
_LAST_WORDS_SECONDS = 0.2


def main() -> None:
    """Serve clients until the first process says that it is enough, or is gone."""
    from twisted.internet import reactor

    if not _is_socket(CHANNEL):
        sys.exit("this is a part of crproxy that only crproxy itself starts: run twistd crproxy --workers 2")
    set_up(reactor)
    _Process(reactor).run()


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


class _Process:
    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._channel = Channel(self._lost)
        self._service: Any = None
        self._log = DaemonLog(Log())

    def run(self) -> None:
        factory = Factory.forProtocol(lambda: self._channel)
        factory.noisy = False
        with socket.socket(fileno=CHANNEL) as ours:
            ours.setblocking(False)
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)
        self._channel.on("stop", lambda _: self._stop())
        self._channel.on("alive", lambda _: None)
        self._reactor.callWhenRunning(self._ask)
        self._reactor.run()

    def _ask(self) -> None:
        # The terminal's, for all processes: the first says what is to be done.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # Twisted's own would stop it a second time where the first process has said so as well.
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self._stop))
        self._channel.ask("begin").addCallbacks(self._begin, lambda _: self._stop())

    def _begin(self, beginning: Beginning) -> None:
        self._log_to(beginning)
        try:
            self._service = self._make(beginning)
            self._service.privilegedStartService()
            self._service.startService()
        except BaseException as error:
            self._say(error)
            # Once the log has it that is written elsewhere.
            self._reactor.callLater(_LAST_WORDS_SECONDS, os._exit, 1)
            return
        self._reactor.addSystemEventTrigger("before", "shutdown", self._service.stopService)
        self._channel.tell("ready")

    def _say(self, error: BaseException) -> None:
        from twisted.logger import Logger

        from ..service.starting import fault_of

        fault = fault_of(error)
        if fault is None:
            Logger("crproxy.workers").failure("this worker cannot be started")
        else:
            self._channel.tell("fault", fault)
        sys.stdout.flush()

    def _make(self, beginning: Beginning) -> Any:
        from twisted.application.internet import TimerService

        from ..service.assembly import make_worker
        from ..service.ports import InheritedPorts
        from .ledger import Ledger
        from .taken_configuration import TakenConfiguration
        from .together import Together

        ledger = Ledger(Path(beginning.ledger), beginning.slot, beginning.slots)
        ledger.forget_slot()
        together = Together(ledger, self._channel, beginning.slot, beginning.secret, self._reactor)
        current = TakenConfiguration(beginning.config, together)
        current.changed.append(self._log.take)
        descriptors = {place: descriptor for descriptor, place in enumerate(beginning.ports, CHANNEL + 1)}
        ports = InheritedPorts(descriptors, self._reactor)
        worker = make_worker(current, self._reactor, together, ports, self._stopping, now=time.time)
        if together.leads:
            tidying = TimerService(_TIDYING_SECONDS, lambda: ledger.tidy(time.monotonic()))
            tidying.clock = self._reactor
            tidying.setServiceParent(worker)
        return worker

    def _log_to(self, beginning: Beginning) -> None:
        self._log.take(beginning.config)

        @implementer(ILogObserver)
        def log_there(event: LogEvent) -> None:
            if not self._log.has(event):
                return
            line = eventAsJSON(portable(event))
            if isInIOThread():
                self._channel.tell("log", line)
            else:
                self._reactor.callFromThread(self._channel.tell, "log", line)

        observer = self._log.file(sys.stdout) if beginning.logs_here else log_there
        # That its reactor begins and ends is the first process' to say.
        level = LogLevelFilterPredicate()
        level.setLogLevelForNamespace("twisted.internet", LogLevel.warn)
        filtered = FilteringLogObserver(observer, [level])
        globalLogBeginner.beginLoggingTo([filtered], redirectStandardIO=not beginning.logs_here)

    def _stopping(self, connections: int, grace: float) -> None:
        self._channel.tell("stopping", connections)

    def _stop(self) -> None:
        if self._reactor.running and not self._reactor._stopped:
            self._reactor.stop()

    def _lost(self) -> None:
        """Without the first nobody starts what is missing, and its successor needs the ports: end at once."""
        # As an operator does who has waited long enough: what is under way is cut off, once the services are stopping.
        self._reactor.addSystemEventTrigger("before", "shutdown", os.kill, os.getpid(), signal.SIGTERM)
        self._stop()
