"""Since when a tag has pointed where it does, and what it is answered until that is long enough ago.

What is answered follows from the tag's history alone, so that it is the same after a restart, in every worker, and
whenever a rule is written. All moments are seconds since the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..oci.digests import Digest

__all__ = ["Dated", "Judgement", "Sources", "TagChange", "judge", "judge_digest", "merged", "with_last"]


class Sources:
    """By what a digest has the age that counts."""

    SEEN = "seen"  # this proxy saw it then
    LAST_MODIFIED = "last-modified"  # the registry says so of its manifest or its configuration
    CREATED = "created"  # the image itself does


@dataclass(frozen=True, slots=True)
class TagChange:
    """That a tag pointed somewhere else than before.

    Arguments:
        digest: where it points; None where it was gone.
        seen: when this proxy saw that first.
        last: when upstream said so last.
        asked_by: the client that asked then; None where it was nobody, or is not known.
    """

    digest: Digest | None
    seen: float
    last: float
    asked_by: str | None = None


@dataclass(frozen=True, slots=True)
class Dated:
    """What is known of a digest's age.

    Arguments:
        seen: when this proxy saw it first in its repository; None where it never did.
        dated: since when it is there by somebody else's word; None where there is none.
        source: whose, of `Sources`.
    """

    seen: float | None = None
    dated: float | None = None
    source: str | None = None

    def since(self, not_before: float, now: float, *, trust_created: bool) -> tuple[float, str]:
        """Return from when on it counts as being there, and by whose word.

        What lies in the future is nobody's word: a clock is wrong.

        Arguments:
            not_before: when the tag still pointed elsewhere: others' words count from then on at the earliest.
        """
        found = [(self.seen, Sources.SEEN)] if self.seen is not None and self.seen <= now else [(now, Sources.SEEN)]
        is_believed = self.source != Sources.CREATED or trust_created
        if self.dated is not None and self.source is not None and self.dated <= now and is_believed:
            found.append((max(self.dated, min(not_before, now)), self.source))
        return min(found)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a tag is answered by a minimum age.

    Arguments:
        digest: the one to answer with; None where it is refused.
        current: where the tag points.
        since: from when on that counts as being there, and by whose word (``source``).
        until: when it is old enough.
    """

    digest: Digest | None
    current: Digest
    since: float
    source: str
    until: float

    @property
    def is_held(self) -> bool:
        """Whether the tag is answered otherwise than upstream does."""
        return self.digest != self.current


def merged(changes: Iterable[TagChange]) -> list[TagChange]:
    """Return them with those as one that say the same one after the other: two workers may have seen the same."""
    found: list[TagChange] = []
    for change in changes:
        if found and found[-1].digest == change.digest:
            found[-1] = replace(found[-1], last=max(found[-1].last, change.last))
        else:
            found.append(change)
    return found


def with_last(changes: Sequence[TagChange], digest: Digest, checked: float) -> list[TagChange]:
    """Return them, where upstream has said at ``checked`` that the tag points to ``digest``.

    Of what points elsewhere by now that says nothing.
    """
    if not changes or changes[-1].digest != digest:
        return list(changes)
    return [*changes[:-1], replace(changes[-1], last=max(changes[-1].last, checked))]


def judge(
    changes: Sequence[TagChange],
    dated: Mapping[Digest, Dated],
    minimum_age: float,
    now: float,
    *,
    trust_created: bool = False,
) -> Judgement | None:
    """Return what a tag is answered; None where it points nowhere.

    It is the last digest that was old enough while upstream still said that the tag points there. So what was there for
    a short time, and put right again, is never answered, however old it gets.

    Arguments:
        changes: the tag's history, the oldest first.
        dated: what is known of the digests in it.
        minimum_age: seconds.
        trust_created: an image's own word counts.
    """
    answered, before = None, -math.inf
    judgement = None
    for change in merged(changes):
        if change.digest is None:
            before = change.last
            continue
        known = _as_of(dated.get(change.digest, Dated(change.seen)), change, before)
        since, source = known.since(before, now, trust_created=trust_created)
        until = since + minimum_age
        if until <= min(change.last, now):
            answered = change.digest
        judgement = Judgement(answered, change.digest, since, source, until)
        before = change.last
    return judgement


def _as_of(dated: Dated, change: TagChange, before: float) -> Dated:
    """Return what is known of the digest that a tag was moved to, when it had pointed elsewhere until ``before``.

    One that was first seen then, and before that, was seen by a clock that was set back.
    """
    is_new = dated.seen is not None and dated.seen >= change.seen
    return replace(dated, seen=before) if is_new and change.seen < before else dated


def judge_digest(
    digest: Digest, dated: Dated, minimum_age: float, now: float, *, trust_created: bool = False
) -> Judgement:
    """Return whether ``digest`` itself is old enough, by whatever name it is asked for."""
    since, source = dated.since(-math.inf, now, trust_created=trust_created)
    until = since + minimum_age
    return Judgement(digest if until <= now else None, digest, since, source, until)
