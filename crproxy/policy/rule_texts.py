"""What clients are told of rules: refusals, and warnings where a tag is answered otherwise than upstream does."""

from __future__ import annotations

from datetime import UTC, datetime

from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Reference, Repository, Tag
from .freshness import warning_field
from .minimum_age import Judgement, Sources
from .rules import Rule
from .units import format_duration

__all__ = ["denied", "held", "is_denied_digest", "moment", "not_pinned", "pinned", "too_young"]

_BY_WORD = {
    Sources.SEEN: "this proxy saw it first",
    Sources.LAST_MODIFIED: "its registry has it since",
    Sources.CREATED: "it says that it was created",
}


def denied(rule: Rule, repository: Repository) -> RegistryError:
    """Return the refusal of all of a repository."""
    return _refused(rule, f"{repository} is refused by {rule.name}", f"whoever runs this proxy may change {rule.name}")


def too_young(rule: Rule, repository: Repository, reference: Reference, judged: Judgement) -> RegistryError:
    """Return the refusal of what is not old enough, and of which nothing older is known."""
    name = repository.named(reference)
    what = (
        f"{name} is refused until {moment(judged.until)}: {rule.name} asks for a minimum age of "
        f"{format_duration(rule.minimum_age)}, and {_BY_WORD[judged.source]} {moment(judged.since)}"
    )
    by_digest = repository.named(judged.current)
    how = f"whoever has looked at it pulls it as {by_digest}"
    if isinstance(reference, Digest) or rule.digests:
        how = f"whoever runs this proxy may pin a tag to it: crproxy tag pin {repository}:TAG {judged.current}"
    return _refused(rule, what, how)


def not_pinned(rule: Rule, repository: Repository, tag: Tag) -> RegistryError:
    """Return the refusal of a tag without a pin."""
    name = repository.named(tag)
    what = f"{name} is refused: {rule.name} serves only tags that are pinned"
    return _refused(rule, what, f"whoever runs this proxy may pin it: crproxy tag pin {name}")


def is_denied_digest(name: str, digest: Digest) -> RegistryError:
    """Return the refusal of what is known to be bad.

    Arguments:
        name: of what was asked for.
        digest: the one that is on the list, which may be of a part of it.
    """
    what = f"{name} is refused: {digest} is on this proxy's list of digests that are denied"
    return RegistryError(ErrorCode.DENIED, f"{what}; whoever runs it knows why")


def held(rule: Rule, repository: Repository, tag: Tag, judged: Judgement) -> str:
    """Return the Warning of a tag that is answered by the digest that it pointed to before."""
    return warning_field(
        f"{repository.named(tag)} points to {judged.current} since {moment(judged.since)}; until "
        f"{moment(judged.until)} it is answered by what it pointed to before, by the minimum age of {rule.name}"
    )


def pinned(repository: Repository, tag: Tag) -> str:
    """Return the Warning of a tag that is answered by a pin."""
    return warning_field(f"{repository.named(tag)} is pinned by whoever runs this proxy, whatever its registry says")


def moment(seconds: float) -> str:
    """Return a moment, in seconds since the epoch, for people."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "the end of time"


def _refused(rule: Rule, what: str, how: str) -> RegistryError:
    return RegistryError(ErrorCode.DENIED, f"{what}; {rule.message or how}")
