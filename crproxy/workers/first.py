"""The first process of several: opens the ports, starts the workers, watches and replaces them, and serves nobody.

It has the configuration, and speaks with the service manager; what one worker tells the others goes by it.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger, eventFromJSON, globalLogPublisher

from ..admin.alias_file import AliasChange, Source
from ..config import Config
from ..service.current_configuration import CurrentConfiguration
from ..service.daemon_log import DaemonLog
from ..service.data_directory import prepare_data_directory
from ..service.listening import Listener, status_of
from ..service.ordered_services import OrderedServices
from ..service.port_plans import PortPlan, port_plans
from ..service.ports import OwnPorts
from ..service.reloading import Reloading
from ..service.reporting import TIDYING_SECONDS, Reporting
from ..service.starting import CannotStart, StartFault, leave_by
from ..service.supervisor import Supervisor
from ..sharing import REPLACED, SECRET_BYTES
from .beginning import Beginning
from .ledger_directory import LedgerDirectory
from .worker import Worker

__all__ = ["First", "make_first"]

# Seconds that answers of all workers are waited for.
_PATIENCE = 2.0
# A worker that lived for less is replaced only after a while, which doubles each time up to the most.
_SHORT_LIFE = 2.0
_LEAST_PAUSE, _MOST_PAUSE = 0.25, 8.0
# So many that ended before any has served anybody mean that none ever will.
_HOPELESS = 3


def make_first(
    config: Config,
    workers: int,
    reactor: Any,
    load: Callable[[], Config],
    source: Source,
    supervisor: Supervisor,
    log: DaemonLog,
    *,
    logs_here: bool,
    now: Callable[[], float],
) -> IService:
    """Return the daemon in several processes, not yet started.

    Arguments:
        workers: how many serve clients.
        load: reads the configuration again, when the daemon is told to; raises ConfigError.
        source: the file that it reads, which aliases are written back into.
        supervisor: is told how it goes.
        log: goes by the configuration that counts.
        logs_here: what workers write to standard output is in the log by that.
        now: seconds since the epoch.
    """
    current = CurrentConfiguration(config, load, source, now=now)
    current.changed.append(log.take)
    whole, daemon, listeners = OrderedServices(), MultiService(), MultiService()
    daemon.setServiceParent(whole)
    reporting = Reporting(supervisor, lambda: f"{status_of(listeners)}, {workers} workers", reactor, is_announced=False)
    reporting.setServiceParent(daemon)
    first = First(current, workers, reactor, reporting, logs_here=logs_here)
    # The admin socket is to be in it; why it cannot be written the workers will say.
    with contextlib.suppress(OSError):
        prepare_data_directory(config)
    for number, plan in enumerate(port_plans(config)):
        # Monitoring is answered until everything else has stopped.
        parent = daemon if plan.scheme == "metrics" else listeners
        _listener(number, plan, reactor, first).setServiceParent(parent)
    first.setServiceParent(whole)
    # Nobody new comes in, and then the workers are stopped.
    listeners.setServiceParent(whole)
    Reloading(lambda: reporting.reload(current.reload), reactor).setServiceParent(daemon)
    return whole


def _listener(number: int, plan: PortPlan, reactor: Any, first: First) -> Listener:
    """Return what opens a port, and has workers accept its connections."""
    return Listener(
        plan.description,
        OwnPorts(reactor).endpoint(number, plan.description),
        _Nobody(),
        plan.scheme,
        known_as=plan.known_as,
        optional=plan.optional,
        on_port=lambda port: first.share(number, port),
    )


class _Nobody(Factory):
    """Serves no connection: none is accepted here."""

    noisy = False


class First(Service):
    """The workers, while it runs.

    Arguments:
        current: the configuration that counts now.
        number: of workers.
        reactor: runs it all.
        reporting: is told how it goes.
        logs_here: what workers write to standard output is in the log by that.
    """

    _log = Logger()

    def __init__(
        self,
        current: CurrentConfiguration,
        number: int,
        reactor: Any,
        reporting: Reporting,
        *,
        logs_here: bool,
    ) -> None:
        self._current = current
        self._number = number
        self._reactor = reactor
        self._reporting = reporting
        self._logs_here = logs_here
        self._ports: dict[int, IListeningPort] = {}
        self._workers: dict[int, Worker] = {}
        self._directory: LedgerDirectory | None = None
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._pauses: dict[int, float] = {}
        # For the worker that leads.
        self._waiting: list[Deferred[Worker]] = []
        self._has_served = False
        self._failures = 0
        self._fault: StartFault | None = None
        self._has_given_up = False
        self._stopping_connections = 0
        current.changed.append(lambda config: self._ask_all("configuration", config))
        current.reread.append(lambda _: self._ask_all("reopen", None))

    def share(self, number: int, port: IListeningPort) -> None:
        """Have workers accept the connections of ``port``, at the place to listen with that number."""
        # Connections wait in it until a worker takes them.
        port.stopReading()  # type: ignore[attr-defined]
        self._ports[number] = port

    # Workers

    def startService(self) -> None:
        """Start them as soon as the reactor runs (IService)."""
        super().startService()
        try:
            self._directory = LedgerDirectory()
        except OSError as error:
            raise CannotStart(
                f"workers have no place for what they have in common: {error}. Give them one in /dev/shm or TMPDIR"
            ) from error
        self._reactor.callWhenRunning(self._start_all)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Stop them; fires when they have ended (IService)."""
        super().stopService()
        self._hear_signals()
        grace = self._current().listen.grace
        self._reporting.stopping(0, grace)
        workers = list(self._workers.values())
        for worker in workers:
            if worker.has_begun:
                worker.channel.tell("stop")
            else:
                worker.signal("KILL")
        timer = self._reactor.callLater(grace + TIDYING_SECONDS, self._signal, "KILL")
        yield DeferredList([worker.ended for worker in workers])
        if timer.active():
            timer.cancel()
        if self._directory is not None:
            self._directory.remove()

    def _start_all(self) -> None:
        for slot in range(self._number):
            self._start(slot)

    def _start(self, slot: int) -> None:
        if not self.running:
            return
        worker = self._workers[slot] = Worker(slot, self._reactor, self._ended)
        self._listen_to(worker)
        try:
            worker.start([port.fileno() for port in self._ports.values()])  # type: ignore[attr-defined]
        except Exception as error:
            worker.ended.callback(None)
            self._ended(worker, f"before it began: {error}")

    def _ended(self, worker: Worker, how: str) -> None:
        self._workers.pop(worker.slot, None)
        if not self.running:
            return
        self._failures += not self._has_served
        if self._failures >= _HOPELESS or (self._fault is not None and not self._has_served):
            self._log.error("worker {slot} ended {how}", slot=worker.slot, how=how)
            self._give_up()
            return
        self._log.error("worker {slot} ended {how}: another takes its place", slot=worker.slot, how=how)
        lived = self._reactor.seconds() - worker.began
        pause = 0.0 if lived >= _SHORT_LIFE else self._pauses.get(worker.slot, 0.0)
        self._pauses[worker.slot] = 0.0 if lived >= _SHORT_LIFE else min(max(_LEAST_PAUSE, 2 * pause), _MOST_PAUSE)
        self._reactor.callLater(pause, self._start, worker.slot)

    def _give_up(self) -> None:
        if self._has_given_up:
            return
        self._has_given_up = True
        fault = self._fault or StartFault("no worker can be started, the log says why: the daemon ends")
        self._log.critical("{fault}", fault=fault.line)
        # To the service manager, a daemon that ends by itself has failed.
        self._reactor.addSystemEventTrigger("after", "shutdown", leave_by, fault)
        self._reactor.stop()

    def _cannot_start(self, fault: StartFault) -> None:
        self._fault = fault
        if self._has_served:
            self._log.error("a worker cannot be started: {fault}", fault=fault.line)

    def _signal(self, name: str) -> None:
        for worker in self._workers.values():
            worker.signal(name)

    def _hear_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._signal, "TERM")

    # What they are told and asked

    def _listen_to(self, worker: Worker) -> None:
        channel = worker.channel
        channel.on("begin", lambda _: self._beginning(worker))
        channel.on("ready", lambda _: self._is_ready(worker))
        channel.on("stopping", self._is_stopping)
        channel.on("log", _log_here)
        channel.on("fault", self._cannot_start)
        channel.on("alias", self._set_alias)
        channel.on("users", lambda _: self._current.reload_users())
        channel.on("loaded", lambda _: self._current.loaded())
        channel.on("to all", lambda message: self._tell(message[0], message[1], but=worker))
        channel.on("of all", lambda message: self._ask_all(message[0], message[1], but=worker))
        channel.on("of the leader", lambda message: self._ask_leader(*message))

    def _beginning(self, worker: Worker) -> Beginning:
        worker.has_begun = True
        ledger = "" if self._directory is None else str(self._directory.path)
        return Beginning(
            self._current(), worker.slot, self._number, tuple(self._ports), ledger, self._secret, self._logs_here
        )

    def _is_ready(self, worker: Worker) -> None:
        worker.is_ready = True
        waiting, self._waiting = (self._waiting, []) if worker.slot == 0 else ([], self._waiting)
        for each in waiting:
            each.callback(worker)
        if self._has_served:
            self._log.info("worker {slot} serves clients again, process {pid}", slot=worker.slot, pid=worker.pid)
            # What the one before had not written down yet is to be looked for.
            self._tell(REPLACED, worker.slot)
        elif sum(each.is_ready for each in self._workers.values()) == self._number:
            self._has_served = True
            self._log.info("{number} workers serve clients", number=self._number)
            self._reporting.announce()

    def _is_stopping(self, connections: int) -> None:
        if not self.running:
            self._stopping_connections += connections
            self._reporting.stopping(self._stopping_connections, self._current().listen.grace)

    def _set_alias(self, alias: tuple[str, str]) -> Deferred[AliasChange]:
        return self._current.set_alias(*alias)

    def _tell(self, topic: str, payload: Any, but: Worker | None = None) -> None:
        for worker in self._workers.values():
            if worker is not but:
                worker.channel.tell(topic, payload)

    def _ask_all(self, topic: str, payload: Any, but: Worker | None = None) -> Deferred[list[Any]]:
        asked = [
            worker.channel.ask(topic, payload).addTimeout(_PATIENCE, self._reactor)
            for worker in self._workers.values()
            if worker is not but and worker.has_begun
        ]
        answered = DeferredList(asked, consumeErrors=True)
        return answered.addCallback(lambda found: [result for succeeded, result in found if succeeded])

    def _ask_leader(self, topic: str, payload: Any) -> Deferred[Any]:
        return (
            self._leader()
            .addCallback(lambda leader: leader.channel.ask(topic, payload))
            .addTimeout(_PATIENCE, self._reactor)
        )

    def _leader(self) -> Deferred[Worker]:
        """Return the worker that leads, once it serves clients."""
        leader = self._workers.get(0)
        if leader is not None and leader.is_ready:
            return succeed(leader)
        waiting: Deferred[Worker] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting


def _log_here(event: str) -> None:
    globalLogPublisher(eventFromJSON(event))
