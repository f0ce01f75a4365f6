"""What the operator's page shows, as values: what one worker sees, and all of them together.

Knows nothing of where it comes from, nor of HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ...policy.history import History
from ...tls.plan import NameState
from ...web.page.state import State

__all__ = [
    "Fill",
    "Job",
    "Overview",
    "Pull",
    "PullKey",
    "Seen",
    "Serving",
    "Trouble",
    "UpstreamState",
    "User",
    "merged",
]

# Of troubles and of jobs, of all workers together.
_MOST = 50

# A repository as it is written with its registry, and a reference.
PullKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Fill:
    """A transfer from an upstream into the cache.

    Arguments:
        repository: that it was begun for, with its registry.
        digest: of what comes.
        filled, size: bytes; the size is None while it is not known.
        rate: bytes per second.
    """

    repository: str
    digest: str
    filled: int
    size: int | None
    rate: float


@dataclass(frozen=True, slots=True)
class Serving:
    """An answer that is under way to a client.

    Arguments:
        who: the user, or the client's address.
        repository: with its registry.
        reference: the tag or the digest that was asked for.
        sent, size: bytes of the body; the size is None where it is not known.
        seconds: since it was asked for.
    """

    who: str
    repository: str
    reference: str
    sent: int
    size: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Job:
    """What an operator had begun here.

    Arguments:
        kind: ``warm``, ``verify`` or ``verify_image``.
        what: the image; empty where it is all that is kept.
        begun: seconds since the epoch.
        done, total: bytes.
        is_over: it has ended.
        trouble: why it failed, or what was found; empty where all is well.
    """

    kind: str
    what: str
    begun: float
    done: int = 0
    total: int = 0
    is_over: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A warning or an error of the log.

    Arguments:
        text: its words, without secrets.
        moment: when it was last said, in seconds since the epoch.
        times: how often it was.
    """

    text: str
    moment: float
    times: int = 1


@dataclass(frozen=True, slots=True)
class Pull:
    """Who has pulled an image last, and when, in seconds since the epoch."""

    who: str
    moment: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What a worker sees; or all of them, merged."""

    fills: tuple[Fill, ...] = ()
    serving: tuple[Serving, ...] = ()
    jobs: tuple[Job, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    pulls: Mapping[PullKey, Pull] = field(default_factory=dict)
    users: Mapping[str, float] = field(default_factory=dict)

    def waiting_for(self, fill: Fill) -> list[str]:
        """Return who is being sent what a transfer brings, each once."""
        return sorted({one.who for one in self.serving if one.reference == fill.digest})


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """How it stands with an upstream.

    Arguments:
        name: of the registry; of an endpoint its URL as well.
        up: it answered when it was asked last; None where it was not asked.
        remaining, limit: requests that its quota leaves, and has; None where it says nothing.
        limited: what it refuses for now, and until when, in seconds since the epoch.
    """

    name: str
    up: bool | None = None
    remaining: int | None = None
    limit: int | None = None
    limited: tuple[tuple[str, float], ...] = ()

    @property
    def is_in_trouble(self) -> bool:
        """Whether somebody should look."""
        return self.up is False or bool(self.limited) or self.remaining == 0


@dataclass(frozen=True, slots=True)
class User:
    """A user who may log in; ``seen`` is when it was last answered, None where it was not since the start."""

    name: str
    is_admin: bool
    seen: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All that is shown, as it was at ``now`` (seconds since the epoch).

    Arguments:
        seen: by all workers.
        state: as the public page may tell it.
        history: of a day and a month.
        upstreams: those that were asked, and those that said something of quotas.
        certificates: how it stands with each name.
        issuers: by whom the certificate of a name was issued.
        users: None where nobody has to log in.
    """

    now: float
    seen: Seen = field(default_factory=Seen)
    state: State = field(default_factory=State)
    history: History = field(default_factory=History)
    upstreams: tuple[UpstreamState, ...] = ()
    certificates: tuple[NameState, ...] = ()
    issuers: Mapping[str, str] = field(default_factory=dict)
    users: tuple[User, ...] | None = None


def merged(each: Iterable[Seen]) -> Seen:
    """Return what several workers see together. Two may be at the same transfer: one fills, others follow."""
    workers = list(each)
    fills: dict[tuple[str, str], Fill] = {}
    troubles: dict[str, Trouble] = {}
    pulls: dict[PullKey, Pull] = {}
    users: dict[str, float] = {}
    for worker in workers:
        for fill in worker.fills:
            key = (fill.repository, fill.digest)
            known = fills.get(key)
            fills[key] = fill if known is None else _further(known, fill)
        for trouble in worker.troubles:
            same = troubles.get(trouble.text)
            troubles[trouble.text] = trouble if same is None else _together(same, trouble)
        for whose, pull in worker.pulls.items():
            if whose not in pulls or pulls[whose].moment < pull.moment:
                pulls[whose] = pull
        for user, moment in worker.users.items():
            users[user] = max(moment, users.get(user, moment))
    return Seen(
        tuple(sorted(fills.values(), key=lambda fill: (fill.repository, fill.digest))),
        tuple(sorted((one for worker in workers for one in worker.serving), key=lambda one: -one.seconds)),
        tuple(sorted((job for worker in workers for job in worker.jobs), key=lambda job: -job.begun)[:_MOST]),
        tuple(sorted(troubles.values(), key=lambda trouble: -trouble.moment)[:_MOST]),
        pulls,
        users,
    )


def _further(one: Fill, other: Fill) -> Fill:
    ahead = max(one, other, key=lambda fill: fill.filled)
    size = one.size if one.size is not None else other.size
    return replace(ahead, size=size, rate=max(one.rate, other.rate))


def _together(one: Trouble, other: Trouble) -> Trouble:
    return Trouble(one.text, max(one.moment, other.moment), one.times + other.times)
