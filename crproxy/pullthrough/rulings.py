"""What a rule makes of a tag or of a digest, once it is known how old that is; and what of it is known to be bad."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.manifests import references
from ..oci.names import Reference, Repository
from ..policy import rule_texts
from ..policy.minimum_age import Judgement
from ..policy.rules import Rule

__all__ = ["Outcome", "Ruling", "by_age", "first_denied"]


class Outcome:
    """What has come of a rule, as it is counted."""

    SERVED = "served"
    DENIED = "denied"
    HELD = "held"  # answered by what the tag pointed to before
    TOO_YOUNG = "too-young"
    NOT_PINNED = "not-pinned"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule makes of a tag or digest.

    Arguments:
        digest: to answer with; None where it is refused.
        outcome: what is counted.
        error: where it is refused.
        judged: how old it is, where that was asked.
    """

    digest: Digest | None
    outcome: str
    error: RegistryError | None = None
    judged: Judgement | None = None


def by_age(rule: Rule, repository: Repository, reference: Reference, judged: Judgement) -> Ruling:
    """Return what comes of a minimum age, as it was judged."""
    if judged.digest is None:
        error = rule_texts.too_young(rule, repository, reference, judged)
        return Ruling(None, Outcome.TOO_YOUNG, error, judged)
    return Ruling(judged.digest, Outcome.HELD if judged.is_held else Outcome.SERVED, judged=judged)


def first_denied(denied: Collection[Digest], digest: Digest | None, content: bytes | None) -> Digest | None:
    """Return the first digest of a manifest, and of what it refers to, that is known to be bad; None: none is.

    Arguments:
        denied: those that are.
        content: the manifest, where it is here.
    """
    if not denied:
        return None
    found = [] if digest is None else [digest]
    if content is not None:
        found += [each.digest for each in references(content)]
    return next((each for each in found if each in denied), None)
