"""Which lies an answer has, and when its bytes are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from .asked import Asked
from .bodies import BODIES
from .draft import Draft, sound
from .heads import HEADS
from .statuses import STATUSES, quota
from .steps import End, Step

__all__ = ["Plan", "make_plan", "make_sound_plan"]

_SOUND = 0.3
# Who has a number like this asks to be left alone for long. The others must not: nobody would ask them any more.
_LEAVES_ALONE = 97
_RETRY_AFTER = (b"86400", b"9" * 5000, b"Fri, 31 Dec 9999 23:59:59 GMT", b"x", b"", b"-5", b"3600")


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer.

    Arguments:
        names: of the lies in it.
        steps: what is done.
    """

    names: tuple[str, ...]
    steps: Sequence[Step]


def make_sound_plan(asked: Asked) -> Plan:
    """Return the right answer."""
    draft = sound(asked)
    return Plan((), [draft.header + draft.sent])


def make_plan(random: Random, asked: Asked, patience: float) -> Plan:
    """Return some answer, right or wrong.

    Arguments:
        patience: the seconds after which whoever waits has certainly given up.
    """
    draft = sound(asked)
    names = [] if random.random() < _SOUND else _bend(random, draft)
    steps: list[Step] = [draft.header, draft.sent]
    if random.random() < 0.15:
        name, steps = _timed(random, draft.header, draft.sent, patience)
        names.append(name)
    elif draft.closes or "longer" in names:
        steps.append(End.CLOSE)
    return Plan(tuple(names), steps)


def _bend(random: Random, draft: Draft) -> list[str]:
    if draft.asked.number and draft.asked.number % _LEAVES_ALONE == 0 and random.random() < 0.5:
        quota(random, draft)
        draft.put("Retry-After", random.choice(_RETRY_AFTER))
        return ["leave_alone"]
    names = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        lie = random.choice(random.choice((HEADS, STATUSES, BODIES)))
        lie(random, draft)
        names.append(lie.__name__)
    if draft.status.startswith(b"429"):
        # Whatever else was said of it, and before any line that would end the header or go on with this one.
        draft.put("Retry-After", "0")
        draft.fields = [draft.fields[-1], b"X-Next: x", *draft.fields[:-1]]
    return names


def _timed(random: Random, header: bytes, body: bytes, patience: float) -> tuple[str, list[Step]]:
    whole = header + body
    at = random.randrange(len(whole) + 1)
    before, after = whole[:at], whole[at:]
    match random.choices(range(7), (20, 10, 3, 15, 15, 5, 5))[0]:
        case 0:
            return "late", [random.choice((0.001, 0.02, 0.2)), whole]
        case 1:
            return "trickle", _trickled(whole, random.randint(2, 40), random.choice((0.0, 0.001, 0.01)))
        case 2:
            return "stall", [before, patience, End.CLOSE]
        case 3:
            return "close", [before, End.CLOSE]
        case 4:
            return "reset", [before, End.RESET]
        case 5:
            return "twice", [whole + whole]
        case _:
            return "pause", [before, random.choice((0.01, 0.1)), after]


def _trickled(whole: bytes, pieces: int, seconds: float) -> list[Step]:
    size = len(whole) // pieces + 1
    steps: list[Step] = []
    for start in range(0, len(whole), size):
        steps += [whole[start : start + size], seconds]
    return steps
