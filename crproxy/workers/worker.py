"""A worker as the first process sees it: a process, a channel to it, and signs of life."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from .channel import Channel, NoAnswer

__all__ = ["CHANNEL", "Worker"]

# The descriptor that a worker finds its channel at; those behind it are the sockets that it listens on.
CHANNEL = 3
# Seconds between two questions whether it lives, and those after which no answer means that it hangs: a reactor is
# blocked for a second by nothing that we know of, and by ten times that only where it is stuck.
_INTERVAL = 1.0
_PATIENCE = 10.0
# And those that it may take to begin: of some thousand names it reads the certificates.
_LONGEST_START = 60.0
# Said to processes of systemd's services by their environment, each of which is for the first alone.
_FIRSTS_OWN = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Worker(ProcessProtocol):
    """One worker; it ``has_begun`` once it was told what with, and ``is_ready`` once it serves clients.

    Arguments:
        slot: its number.
        reactor: runs it all.
        ended: is called with this when its process has ended, and how.
    """

    _log = Logger()

    def __init__(self, slot: int, reactor: Any, ended: Callable[[Worker, str], object]) -> None:
        self.slot = slot
        self.channel = Channel()
        self.has_begun = self.is_ready = False
        self.began: float = reactor.seconds()
        self.ended: Deferred[None] = Deferred()
        self._reactor = reactor
        self._on_end = ended
        self._process: IProcessTransport | None = None
        self._alive = LoopingCall(self._ask)
        self._alive.clock = reactor

    def start(self, sockets: Sequence[int]) -> None:
        """Start its process, with these sockets to listen on.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            descriptors = {0: 0, 1: 1, 2: 2, CHANNEL: theirs.fileno()}
            descriptors |= dict(enumerate(sockets, CHANNEL + 1))
            command = [sys.executable, "-P", "-m", "crproxy.workers", str(self.slot)]
            self._process = self._reactor.spawnProcess(
                self, command[0], command, env=_environment(), childFDs=descriptors
            )
            ours.setblocking(False)
            factory = Factory.forProtocol(lambda: self.channel)
            factory.noisy = False
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)
        self._alive.start(_INTERVAL, now=False)

    @property
    def pid(self) -> int | None:
        """Its process' number."""
        return None if self._process is None else self._process.pid

    def signal(self, name: str) -> None:
        """Send it a signal, such as TERM."""
        try:
            if self._process is not None:
                self._process.signalProcess(name)
        except ProcessExitedAlready:
            pass

    def processEnded(self, reason: Failure) -> None:
        """It has ended (ProcessProtocol)."""
        self.is_ready = False
        if self._alive.running:
            self._alive.stop()
        self._on_end(self, _how(reason.value))
        self.ended.callback(None)

    def _ask(self) -> Deferred[None] | None:
        if not self.is_ready:
            if self._reactor.seconds() - self.began > _LONGEST_START:
                self._kill(_LONGEST_START)
            return None
        asked = self.channel.ask("alive").addTimeout(_PATIENCE, self._reactor)
        return asked.addCallbacks(lambda _: None, self._has_no_answer)

    def _has_no_answer(self, failure: Failure) -> None:
        # Of one that has ended its end will be told.
        if failure.check(NoAnswer) is None:
            failure.trap(defer.TimeoutError)
            self._kill(_PATIENCE)

    def _kill(self, seconds: float) -> None:
        self._log.error(
            "worker {slot} (process {pid}) has not answered for {seconds:g} s: it is killed",
            slot=self.slot,
            pid=self.pid,
            seconds=seconds,
        )
        self.signal("KILL")


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _FIRSTS_OWN}
    # Where it is found here it is found there.
    root = str(Path(__file__).parent.parent.parent)
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    return environment | {"PYTHONPATH": os.pathsep.join([*paths, *([] if root in paths else [root])])}


def _how(error: Any) -> str:
    if getattr(error, "signal", None) is not None:
        return f"by {signal.Signals(error.signal).name}"
    return f"with status {getattr(error, 'exitCode', None)}"
