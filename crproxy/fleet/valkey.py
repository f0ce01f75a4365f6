"""Valkey or Redis, as a node asks it: what is not answered within a second is away, and then nobody waits for it.

Knows nothing of what is kept there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger

from ..config import ValkeyAddress
from ..policy.units import format_duration
from .connection import ANSWER_SECONDS, Connection, endpoint_of

__all__ = ["Away", "Script", "Valkey"]

Part = str | bytes | int


class Away(Exception):
    """Valkey cannot be asked, does not answer in time, or answers that it will not do it; the text says which."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script in Lua, which Valkey runs as one step.

    Arguments:
        text: its source.
    """

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


# Whether it takes what is written, and what time it is there. A replica, or one that has no memory left, is of no use.
_LOOK = Script("redis.call('SET', KEYS[1], '1', 'PX', 10000) return redis.call('TIME')")


class Valkey:
    """The place where nodes meet.

    Arguments:
        address: where it is.
        prefix: begins every key.
        reactor: the time, and connections.
        now: seconds since the epoch.
        says: whether it is for this worker to say in the log that Valkey is away, or back.

    ``is_up``: it was there just now. ``ahead``: seconds that our clock is ahead of Valkey's.

    Raises:
        ImportError: what it takes is not installed.
    """

    _log = Logger()

    def __init__(
        self, address: ValkeyAddress, prefix: str, reactor: Any, now: Callable[[], float], *, says: bool = True
    ) -> None:
        # Only who is in a fleet has them.
        from . import protocol

        self._protocol = protocol
        self.ahead = 0.0
        self._address = address
        self._prefix = prefix
        self._reactor = reactor
        self._now = now
        self._says = says
        # When it went away; None while it is there. Not yet there is not yet away.
        self._away_since: float | None = None
        self._refusals: set[str] = set()
        # Hashes of the scripts that it was sent since it is there.
        self._known: set[str] = set()
        self._on_up: list[Callable[[], None]] = []
        endpoint = endpoint_of(address, reactor)
        self._commands = Connection(endpoint, protocol.Commands, self._greet, self._look, self._told, reactor)
        self._endpoint: IStreamClientEndpoint = endpoint
        self._subscriber: Connection | None = None

    @property
    def is_up(self) -> bool:
        """Whether it was there just now."""
        return self._commands.protocol is not None

    @property
    def address(self) -> str:
        """Where it is, as a log may have it."""
        return str(self._address)

    def key(self, *parts: str) -> str:
        """Return the key of that name."""
        return ":".join((self._prefix, *parts))

    def on_up(self, call: Callable[[], None]) -> None:
        """Have ``call`` called each time that it is there again, the first among them."""
        self._on_up.append(call)

    def subscribe(self, channel: str, heard: Callable[[bytes], None], listens: Callable[[], None]) -> None:
        """Have ``heard`` called with each message that is published to ``channel``; before `start`.

        Arguments:
            listens: is called each time that it is listened to from now on: what came before was missed.
        """

        async def greet(protocol: Any) -> None:
            await self._log_in(protocol)
            await self._answer(protocol.execute_command("SUBSCRIBE", channel))

        async def look(protocol: Any) -> None:
            await self._answer(protocol.execute_command("PING"))

        def told(error: Exception | None) -> None:
            if error is None:
                listens()

        make = self._protocol.Subscriber
        self._subscriber = Connection(self._endpoint, lambda: make(heard), greet, look, told, self._reactor)

    def start(self) -> None:
        """Connect, now and whenever it is needed."""
        self._commands.start()
        if self._subscriber is not None:
            self._subscriber.start()

    def stop(self) -> None:
        """Disconnect for good."""
        self._commands.stop()
        if self._subscriber is not None:
            self._subscriber.stop()

    async def ask(self, *command: Part) -> Any:
        """Return the answer to a command: bytes, a whole number, None, or a list of them. Raises Away."""
        protocol = self._commands.protocol
        if protocol is None:
            raise Away(f"Valkey at {self._address} is away")
        try:
            return await self._answer(protocol.execute_command(*command))
        except self._protocol.AnswersError as error:
            raise self._refused(str(error)) from None
        except TimeoutError as error:
            self._commands.drop(protocol, error)
            raise Away(str(error)) from None
        except self._protocol.ERRORS as error:
            raise Away(str(error)) from None

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part] = ()) -> Any:
        """Return what ``script`` returns, as `ask` does. Raises Away."""
        if script.sha in self._known:
            try:
                return await self.ask("EVALSHA", script.sha, len(keys), *keys, *arguments)
            except _NoScript:
                pass
        # Whole the first time: asked by its hash in vain it would come later than what is asked after it.
        self._known.add(script.sha)
        return await self.ask("EVAL", script.text, len(keys), *keys, *arguments)

    def _refused(self, why: str) -> Away:
        """Return what is raised where Valkey says no, and say each kind of it once."""
        if why.startswith("NOSCRIPT"):
            return _NoScript(why)
        kind = why.partition(" ")[0]
        if kind not in self._refusals:
            self._refusals.add(kind)
            self._log.warn("Valkey at {address} refuses what it is asked: {why}", address=self._address, why=why)
        return Away(why)

    # Connections

    def _answer(self, asked: Deferred[Any]) -> Deferred[Any]:
        """Return the answer, or TimeoutError."""
        return asked.addTimeout(ANSWER_SECONDS, self._reactor, _too_late)

    async def _log_in(self, protocol: Any) -> None:
        if self._address.password is not None:
            who = [] if self._address.username is None else [self._address.username]
            await self._answer(protocol.execute_command("AUTH", *who, self._address.password.encode()))
        if self._address.database:
            await self._answer(protocol.execute_command("SELECT", self._address.database))

    async def _greet(self, protocol: Any) -> None:
        await self._log_in(protocol)
        await self._look(protocol)

    async def _look(self, protocol: Any) -> None:
        asked = self._now()
        answer = protocol.execute_command("EVAL", _LOOK.text, 1, self.key("up"))
        seconds, microseconds = map(int, await self._answer(answer))
        self.ahead = (asked + self._now()) / 2 - (seconds + microseconds / 1e6)

    def _told(self, error: Exception | None) -> None:
        if error is None:
            self._is_back()
        elif self._away_since is None:
            self._away_since = self._reactor.seconds()
            if self._says:
                self._log.warn(
                    "Valkey at {address} is away, and this node goes on alone until it is back: {why}",
                    address=self._address,
                    why=str(error) or type(error).__name__,
                )

    def _is_back(self) -> None:
        since, self._away_since = self._away_since, None
        self._refusals.clear()
        self._known.clear()
        if since is not None and self._says:
            outage = format_duration(round(self._reactor.seconds() - since))
            self._log.info("Valkey at {address} is back after {outage}", address=self._address, outage=outage)
        for call in self._on_up:
            call()


class _NoScript(Away):
    """It has not seen this script since it was started."""


def _too_late(_: Any, seconds: float) -> None:
    raise TimeoutError(f"it has not answered for {seconds:g} s")
