"""Can nodes agree on anything? Valkey as it is reached from here, what it is, and whether it takes what is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.protocol import Factory

from ...config import Fleet, ValkeyAddress
from ...upstream.errors import RefusedAddress, describe
from .clock import ClockReading
from .environment import ProbeEnvironment
from .findings import Area, Finding, Outcome, failed, fine, skipped, warning
from .valkey_answers import clock_finding, info_findings, parse_info, refusal

if TYPE_CHECKING:
    from ...fleet.nodes import Node

__all__ = ["ValkeyCheck", "check_valkey"]

# Seconds to connect, and for one answer; a daemon waits for a second at the most.
_CONNECT, _ANSWER = 5.0, 5.0
_SLOW = 0.1
# As a node writes, with an end: what it takes to be any use. And what time it is there, as it says in the same step.
_WRITE = "redis.call('SET', KEYS[1], '1', 'PX', 10000) return redis.call('TIME')"


@dataclass(slots=True)
class ValkeyCheck:
    """What was seen there.

    Arguments:
        reading: its clock.
        nodes: who is in the fleet; None where that could not be asked.
    """

    findings: list[Finding] = field(default_factory=list)
    reading: ClockReading | None = None
    nodes: list[Node] | None = None


class _Refused(Exception):
    """Valkey has answered that it will not; the text says why."""


class _Asked:
    """A connection to Valkey, on which one thing is asked after the other."""

    def __init__(self, protocol: Any, errors: tuple[type[Exception], ...], answers: type[Exception], reactor: Any):
        self._protocol = protocol
        self._errors = errors
        self._answers = answers
        self._reactor = reactor

    async def ask(self, *command: str | bytes | int) -> Any:
        """Return the answer. Raises _Refused, or ConnectionError where there is none."""
        try:
            return await self._protocol.execute_command(*command).addTimeout(_ANSWER, self._reactor)
        except self._answers as error:
            raise _Refused(str(error)) from None
        except TookTooLong:
            raise ConnectionError(f"it has not answered for {_ANSWER:g} s") from None
        except self._errors as error:
            raise ConnectionError(str(error) or "it ends the connection") from None

    def end(self) -> None:
        """Ask no more."""
        self._protocol.transport.abortConnection()


async def check_valkey(fleet: Fleet, environment: ProbeEnvironment) -> ValkeyCheck:
    """Look at the Valkey of ``fleet``."""
    check, subject = ValkeyCheck(), f"Valkey at {fleet.valkey}"
    try:
        asked = await _connect(fleet.valkey, environment.reactor)
    except ImportError as error:
        why = f"[fleet] takes what is not installed here ({error.name})"
        check.findings.append(failed(Area.FLEET, subject, why, "Run pip install 'crproxy[fleet]'"))
        return check
    except Exception as error:
        # Whatever it is, it is why there is no connection: DNS, TCP, TLS, a socket's rights, a name that is none.
        check.findings.append(_unreachable(subject, fleet.valkey, error))
        return check
    try:
        await _look(asked, fleet, subject, environment, check)
    except _Refused as error:
        said, advice = refusal(str(error), fleet.prefix)
        check.findings.append(failed(Area.FLEET, subject, said, advice))
    except ConnectionError as error:
        advice = "See whether it is Valkey that listens there, by TLS or not as [fleet] valkey says, and how busy it is"
        check.findings.append(failed(Area.FLEET, subject, f"is connected to, but does not answer: {error}", advice))
    finally:
        asked.end()
    return check


async def _connect(address: ValkeyAddress, reactor: Any) -> _Asked:
    from ...fleet import protocol
    from ...fleet.connection import endpoint_of

    factory = Factory.forProtocol(protocol.Commands)
    factory.noisy = False
    connecting: Deferred[Any] = endpoint_of(address, reactor).connect(factory)
    return _Asked(await connecting.addTimeout(_CONNECT, reactor), protocol.ERRORS, protocol.AnswersError, reactor)


def _unreachable(subject: str, address: ValkeyAddress, error: Exception) -> Finding:
    if isinstance(error, RefusedAddress):
        return failed(Area.FLEET, subject, str(error), "Correct valkey under [fleet]")
    advice = "Start it, let a firewall pass this machine, or correct valkey under [fleet]"
    if address.tls:
        advice += "; where its certificate is from an authority of your own, name that in valkey_ca_file"
    why = f"no connection within {_CONNECT:g} s" if isinstance(error, TookTooLong) else describe(error)
    return failed(Area.FLEET, subject, f"cannot be connected to, so each node goes on alone: {why}", advice)


async def _look(asked: _Asked, fleet: Fleet, subject: str, environment: ProbeEnvironment, check: ValkeyCheck) -> None:
    await _log_in(asked, fleet.valkey)
    check.findings.append(await _latency(asked, subject, environment))
    check.findings.extend(await _what_it_is(asked, subject))
    if any(finding.outcome is Outcome.FAILED for finding in check.findings):
        return
    before = environment.now()
    seconds, microseconds = map(int, await asked.ask("EVAL", _WRITE, 1, f"{fleet.prefix}:doctor"))
    await asked.ask("DEL", f"{fleet.prefix}:doctor")
    await asked.ask("PUBLISH", f"{fleet.prefix}:doctor", "")
    check.findings.append(fine(Area.FLEET, subject, f"takes what is written below {fleet.prefix}:"))
    behind = seconds + microseconds / 1e6 - (before + environment.now()) / 2
    check.reading = ClockReading(subject, behind)
    check.findings.append(clock_finding(subject, behind))
    check.nodes = await _nodes(asked, fleet)


async def _log_in(asked: _Asked, address: ValkeyAddress) -> None:
    if address.password is not None:
        who = [] if address.username is None else [address.username]
        await asked.ask("AUTH", *who, address.password.encode())
    if address.database:
        await asked.ask("SELECT", address.database)


async def _latency(asked: _Asked, subject: str, environment: ProbeEnvironment) -> Finding:
    """Return how long it takes to answer: the median of some, as the first may wait for what it has to do just then."""
    took = []
    for _ in range(5):
        began = environment.reactor.seconds()
        await asked.ask("PING")
        took.append(environment.reactor.seconds() - began)
    seconds = sorted(took)[2]
    if seconds >= _SLOW:
        advice = "Have it nearer to the nodes, or less to do: what is not answered within a second counts as away"
        return warning(Area.FLEET, subject, f"answers in {seconds * 1000:.0f} ms", advice)
    return fine(Area.FLEET, subject, f"answers in {seconds * 1000:.1f} ms")


async def _what_it_is(asked: _Asked, subject: str) -> list[Finding]:
    try:
        info = parse_info(await asked.ask("INFO"))
    except _Refused as error:
        if not str(error).startswith("NOPERM"):
            raise
        return [skipped(Area.FLEET, f"{subject}: INFO", "its user may not ask what it is")]
    return list(info_findings(subject, info))


async def _nodes(asked: _Asked, fleet: Fleet) -> list[Node]:
    return list(_parsed(await _values(asked, fleet.prefix)))


async def _values(asked: _Asked, prefix: str) -> list[bytes | None]:
    names = [name.decode("utf-8", "replace") for name in await asked.ask("ZRANGE", f"{prefix}:nodes", 0, -1)]
    found: list[bytes | None] = await asked.ask("MGET", *(f"{prefix}:node:{name}" for name in names)) if names else []
    return found


def _parsed(values: list[bytes | None]) -> Iterator[Node]:
    from ...fleet.nodes import Node

    for value in values:
        try:
            if value is not None:
                yield Node.parse(value)
        except ValueError:
            # Another version's, or not a node's: the daemons pass it over as well.
            continue
