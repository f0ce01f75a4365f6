"""Which names need a certificate, when the next attempt for each is due, and how it stands with each.

Decides, and asks nobody; time is an argument, in seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..policy.renewal import renew_at, wait_after, wait_for_ca

__all__ = ["NameState", "Plan", "State"]

_FIRST_DAY = 24 * 3600.0
_WRONG_CLOCK_WAIT = 24 * 3600.0


class State(enum.Enum):
    """How it stands with a name."""

    VALID = "valid"
    RENEWING = "renewing"
    WAITING = "waiting"
    FAILED = "failed"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class NameState:
    """How it stands with a name, for the log, metrics and people.

    Arguments:
        name: which.
        state: FILE is one that an operator keeps; FAILED has no certificate that counts, or not for long.
        valid_until: of its certificate, if it has one.
        why: what the last attempt failed of.
        next_attempt: when the next one is due; None where one is under way, or none is needed.
    """

    name: str
    state: State
    valid_until: float | None = None
    why: str | None = None
    next_attempt: float | None = None


@dataclass(slots=True)
class _Name:
    """What is known of one name.

    Arguments:
        valid_until, renew_at: of its certificate.
        earliest: when it may be renewed at the soonest.
        failures: in a row.
        not_before: no attempt is made earlier.
        under_way: one is being made.
    """

    valid_until: float | None = None
    renew_at: float = 0.0
    earliest: float = 0.0
    failures: int = 0
    not_before: float = 0.0
    why: str | None = None
    under_way: bool = False

    def due(self) -> float:
        return max(self.renew_at, self.not_before)


@dataclass(slots=True)
class Plan:
    """The plan of one daemon.

    Arguments:
        names: those that are to have certificates, in the order in which they are asked for.
        has_file: tells whether an operator keeps a name's certificate, so that none is asked for.
    """

    names: tuple[str, ...]
    has_file: Callable[[str], bool] = lambda _: False
    _known: dict[str, _Name] = field(default_factory=dict)
    _paused_until: float = 0.0
    _ca_failures: int = 0
    _ca_trouble: str | None = None

    def rename(self, names: Iterable[str]) -> None:
        """Plan for other names from now on."""
        self.names = tuple(names)

    def holds(self, name: str, not_before: float, not_after: float) -> None:
        """Note that ``name`` has a certificate from before."""
        known = self._of(name)
        known.valid_until, known.renew_at = not_after, renew_at(not_before, not_after)
        known.earliest = min(not_before + _FIRST_DAY, known.renew_at)

    def advise(self, name: str, moment: float) -> None:
        """Renew at ``moment``, because the CA says so (RFC 9773), but no certificate in its first day.

        A CA that always names a moment of the past would otherwise be asked for one after the other.
        """
        known = self._of(name)
        known.renew_at = max(moment, known.earliest)

    def rank(self, name: str) -> int:
        """Return the place of ``name`` in the order; names that are none come last."""
        return self.names.index(name) if name in self.names else len(self.names)

    def due(self, now: float) -> list[str]:
        """Return the names for which an attempt is to be made now, in their order."""
        if now < self._paused_until:
            return []
        return [name for name in self._wanting() if self._of(name).due() <= now]

    def next_time(self) -> float | None:
        """Return when something will be due; None where nothing will be."""
        moments = [self._of(name).due() for name in self._wanting()]
        return max(min(moments), self._paused_until) if moments else None

    def began(self, name: str) -> None:
        """Note that an attempt is under way."""
        self._of(name).under_way = True

    def done(self, name: str, not_before: float, not_after: float, now: float) -> str | None:
        """Note that ``name`` has got a certificate; return what is wrong with it, if anything is."""
        known = self._of(name)
        self.holds(name, not_before, not_after)
        known.under_way, known.failures, known.not_before, known.why = False, 0, 0.0, None
        self._ca_failures = 0
        if known.renew_at <= now:
            # It would be asked for again and again, and CAs allow few of the same name: five in a week.
            why = "its new certificate is about to end: is this machine's clock right?"
            self.failed(name, now, why, retry_after=_WRONG_CLOCK_WAIT)
        return known.why

    def took(self, name: str, not_before: float, not_after: float) -> None:
        """Note that ``name`` has a certificate that another node got; an attempt that is under way here goes on."""
        known = self._of(name)
        self.holds(name, not_before, not_after)
        known.failures, known.not_before, known.why = 0, 0.0, None

    def told(self, name: str, failures: int, until: float, why: str) -> None:
        """Note that another node failed because of ``name``: no attempt is made before ``until``."""
        known = self._of(name)
        known.failures, known.not_before, known.why = max(known.failures, failures), max(known.not_before, until), why

    def ca_told(self, failures: int, until: float, why: str) -> None:
        """Note that another node failed because of the CA: it is left alone before ``until``."""
        self._ca_failures, self._ca_trouble = max(self._ca_failures, failures), why
        self._paused_until = max(self._paused_until, until)

    def failures(self, name: str) -> int:
        """Return how many attempts in a row have failed because of ``name``."""
        return self._of(name).failures

    @property
    def ca_failures(self) -> int:
        """How many attempts in a row have failed because of the CA."""
        return self._ca_failures

    @property
    def is_busy(self) -> bool:
        """Whether an attempt is under way."""
        return any(known.under_way for known in self._known.values())

    def failed(self, name: str, now: float, why: str, retry_after: float | None = None) -> float:
        """Note that an attempt failed because of ``name``; return when the next one is due."""
        known = self._of(name)
        known.under_way, known.failures, known.why = False, known.failures + 1, why
        known.not_before = now + max(wait_after(known.failures), retry_after or 0.0)
        return known.not_before

    def ca_failed(self, name: str, now: float, why: str, retry_after: float | None = None) -> float:
        """Note that an attempt failed because of the CA, so that it is left alone; return until when."""
        known = self._of(name)
        known.under_way, known.why = False, why
        self._ca_trouble = why
        if self._paused_until <= now:
            self._ca_failures += 1
        wait = max(wait_for_ca(self._ca_failures), retry_after or 0.0)
        self._paused_until = max(self._paused_until, now + wait)
        return self._paused_until

    def is_paused(self, now: float) -> bool:
        """Tell whether the CA is left alone."""
        return now < self._paused_until

    def put_off(self, name: str) -> None:
        """Note that an attempt was not made, because the CA is left alone."""
        known = self._of(name)
        known.under_way, known.why = False, self._ca_trouble

    def states(self, now: float) -> list[NameState]:
        """Return how it stands with each name, in their order."""
        return [self._state(name, now) for name in self.names]

    def _state(self, name: str, now: float) -> NameState:
        known = self._of(name)
        if self.has_file(name):
            return NameState(name, State.FILE)
        upcoming = None if known.under_way else max(known.due(), self._paused_until, now)
        counts = known.valid_until is not None and known.valid_until > now
        if known.under_way:
            state = State.RENEWING
        elif known.why is not None:
            state = State.FAILED
        else:
            state = State.VALID if counts else State.WAITING
        return NameState(name, state, known.valid_until, known.why, upcoming)

    def _wanting(self) -> list[str]:
        return [name for name in self.names if not self._of(name).under_way and not self.has_file(name)]

    def _of(self, name: str) -> _Name:
        return self._known.setdefault(name, _Name())
