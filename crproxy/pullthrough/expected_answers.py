"""What a request would be answered just now, by what is known here alone: nothing is asked, noted or counted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from ..oci.digests import Digest
from ..oci.names import Reference, Repository, Tag
from ..policy import rule_texts
from ..policy.rules import Action, Rule
from ..store.entries import View
from ..store.store import Store
from .ages import KnownAges
from .rulings import Outcome, Ruling, by_age, first_denied
from .verdicts import Question, Verdicts

__all__ = ["Expectation", "Expected", "ExpectedAnswers"]


class Expectation:
    """What is to be expected besides what comes of rules (`Outcome`)."""

    PINNED = "pinned"
    UNKNOWN = "unknown"  # the tag was never seen, so that its registry is asked first
    UNCHECKED = "unchecked"  # whether it is signed is looked at when it is pulled


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request would be answered.

    Arguments:
        ruling: with ``outcome`` of `Outcome` or `Expectation`.
        current: where the tag points, as upstream has said last; None where that is not known.
        checked: when it said so, in seconds since the epoch; None where it did not.
    """

    ruling: Ruling
    current: Digest | None = None
    checked: float | None = None


class ExpectedAnswers:
    """Finds them out, by the rules that answer clients (`RuledManifests`).

    Arguments:
        ages: how old tags' digests are.
        store: what is here.
        view: returns how the proxy itself sees a repository.
        pin_of: returns by which digest a tag is answered in any case; None where it is not pinned.
        denied: returns the digests that are known to be bad.
        verdicts: know what is signed.
    """

    def __init__(
        self,
        ages: KnownAges,
        store: Store,
        view: Callable[[Repository], View],
        pin_of: Callable[[Repository, Tag], Digest | None],
        denied: Callable[[], Collection[Digest]],
        verdicts: Verdicts,
    ) -> None:
        self._ages = ages
        self._store = store
        self._view = view
        self._pin_of = pin_of
        self._denied = denied
        self._verdicts = verdicts

    def of(self, repository: Repository, reference: Reference, rule: Rule | None) -> Expected:
        """Return what comes of ``rule``, the one that decides; None is none."""
        view = self._view(repository)
        current, checked = self._pointed(view, reference)
        ruling = self._unless_denied(view, reference, self._ruling(view, reference, current, rule))
        return Expected(ruling, current, checked)

    def _pointed(self, view: View, reference: Reference) -> tuple[Digest | None, float | None]:
        if isinstance(reference, Digest):
            return reference, None
        entry = self._store.index.tagged(view, reference.name)
        return (None, None) if entry is None else (entry.digest, entry.checked)

    def _ruling(self, view: View, reference: Reference, current: Digest | None, rule: Rule | None) -> Ruling:
        repository = view.repository
        if rule is not None and rule.action is Action.DENY:
            return Ruling(None, Outcome.DENIED, rule_texts.denied(rule, repository))
        if isinstance(reference, Tag):
            pin = self._pin_of(repository, reference)
            if pin is not None:
                return self._signed(view, Ruling(pin, Expectation.PINNED), rule)
            if rule is not None and rule.pinned:
                return Ruling(None, Outcome.NOT_PINNED, rule_texts.not_pinned(rule, repository, reference))
        if current is None:
            return Ruling(None, Expectation.UNKNOWN)
        if rule is None:
            return Ruling(current, Outcome.SERVED)
        return self._signed(view, self._aged(view, reference, current, rule), rule)

    def _aged(self, view: View, reference: Reference, current: Digest, rule: Rule) -> Ruling:
        if not rule.minimum_age or (isinstance(reference, Digest) and not rule.digests):
            return Ruling(current, Outcome.SERVED)
        judged = self._ages.judge(view, reference, rule) if isinstance(reference, Tag) else None
        if judged is None:
            judged = self._ages.judge_digest(view.repository, current, rule)
        return by_age(rule, view.repository, reference, judged)

    def _signed(self, view: View, ruling: Ruling, rule: Rule | None) -> Ruling:
        if rule is None or rule.trust is None or ruling.digest is None:
            return ruling
        question = Question(view.repository, ruling.digest, rule.trust.fingerprint)
        return ruling if self._verdicts.signed(question) else replace(ruling, outcome=Expectation.UNCHECKED)

    def _unless_denied(self, view: View, reference: Reference, ruling: Ruling) -> Ruling:
        denied = self._denied()
        if ruling.digest is None or not denied:
            return ruling
        found = first_denied(denied, ruling.digest, self._store.read(view.entry(ruling.digest)))
        if found is None:
            return ruling
        error = rule_texts.is_denied_digest(view.repository.named(reference), found)
        return Ruling(None, Outcome.DENIED, error, ruling.judged)
