"""Rules: what may be pulled, by whom, and on which conditions. The first that is about a request decides it."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..oci.names import Registry, Repository
from ..signatures.trust import Trust
from .access import Patterns, patterns_about
from .clients import Network, is_in

__all__ = ["NO_RULE", "Action", "Decision", "Match", "Rule", "Rules", "Subject"]


class Action(enum.Enum):
    """What is done with what a rule is about."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who wants what.

    Arguments:
        client: the IP address, where it is known.
        user: who has logged in; None where nobody has.
    """

    repository: Repository
    client: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. What it says nothing of is about everything, and asks for nothing.

    Arguments:
        name: what it is called in errors, logs and metrics.
        images: patterns, one of which has to fit.
        registries: one of which it has to be.
        networks: in one of which the client has to be.
        users: one of whom has to have logged in.
        action: what is done.
        message: what a client is told besides that is refused something, such as whom to ask.
        minimum_age: seconds that a tag has to have pointed to a digest, or a digest to have been there.
        digests: that is asked of what is pulled by its digest, too.
        trust_created: an image's own word counts for its age, where nothing else is known.
        pinned: a tag is served only by a pin.
        trust: who has to have signed it; None is nobody.
        enforce: it decides; otherwise what it would have done is only logged and counted, and the next one decides.
    """

    name: str
    images: Patterns = frozenset()
    registries: frozenset[Registry] = frozenset()
    networks: tuple[Network, ...] = ()
    users: frozenset[str] = frozenset()
    action: Action = Action.ALLOW
    message: str = ""
    minimum_age: float = 0.0
    digests: bool = False
    trust_created: bool = False
    pinned: bool = False
    trust: Trust | None = None
    enforce: bool = True

    @property
    def is_about_clients(self) -> bool:
        """Whether it depends on who asks."""
        return bool(self.networks or self.users)

    @property
    def has_terms(self) -> bool:
        """Whether it asks for something of what it allows."""
        return bool(self.minimum_age or self.pinned or self.trust)

    def is_about_client(self, subject: Subject) -> bool:
        """Tell whether it is about who asks."""
        if self.networks and not is_in(subject.client, self.networks):
            return False
        return not self.users or subject.user in self.users

    def why_not(self, subject: Subject) -> str | None:
        """Return why it is not about ``subject``; None where it is."""
        repository = subject.repository
        if self.registries and repository.registry not in self.registries:
            return f"it is about {', '.join(sorted(map(str, self.registries)))}"
        if self.images and self.images.isdisjoint(patterns_about(repository)):
            return "none of its images is this one"
        if self.networks and not is_in(subject.client, self.networks):
            return f"the client {subject.client or 'is not known, and'} is in none of its networks"
        if self.users and subject.user not in self.users:
            return f"{subject.user or 'nobody'} is none of its users"
        return None


@dataclass(frozen=True, slots=True)
class Decision:
    """Which rule decides.

    Arguments:
        rule: None where none is about the request: then it is served.
        trials: those that would have decided before, and are not enforced.
    """

    rule: Rule | None = None
    trials: tuple[Rule, ...] = ()


# Subjects whose decisions are remembered: the same clients pull the same images again and again.
_MOST_DECIDED = 4096

# Nothing but the lists counts.
NO_RULE = Decision()


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule has to do with a request: ``why_not`` it is about it; None where it is."""

    rule: Rule
    why_not: str | None


@dataclass(frozen=True)
class Rules:
    """All of them, in their order.

    A name is looked up in as many steps as it has parts, however many rules there are.
    """

    rules: Sequence[Rule] = ()
    _by_pattern: Mapping[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _for_any: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _decided: dict[Subject, Decision] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        by_pattern: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            for pattern in rule.images or (f"{registry}/*" for registry in rule.registries):
                by_pattern.setdefault(pattern, []).append(number)
        found = {pattern: tuple(numbers) for pattern, numbers in by_pattern.items()}
        object.__setattr__(self, "_by_pattern", found)
        for_any = tuple(number for number, rule in enumerate(self.rules) if not rule.images and not rule.registries)
        object.__setattr__(self, "_for_any", for_any)

    @property
    def are_about_clients(self) -> bool:
        """Whether any of them depends on who asks."""
        return any(rule.is_about_clients for rule in self.rules)

    @property
    def are_about_ages(self) -> bool:
        """Whether any of them asks how old something is."""
        return any(rule.minimum_age for rule in self.rules)

    def decide(self, subject: Subject) -> Decision:
        """Return which rule decides about ``subject``."""
        if not self.rules:
            return NO_RULE
        decided = self._decided.get(subject)
        if decided is None:
            decided = self._decide(subject)
            if len(self._decided) >= _MOST_DECIDED:
                self._decided.clear()
            self._decided[subject] = decided
        return decided

    def _decide(self, subject: Subject) -> Decision:
        trials: list[Rule] = []
        for rule in self._about(subject.repository):
            if not rule.is_about_client(subject):
                continue
            if rule.enforce:
                return Decision(rule, tuple(trials))
            trials.append(rule)
        return Decision(None, tuple(trials)) if trials else NO_RULE

    def explain(self, subject: Subject) -> Iterator[Match]:
        """Give what each rule has to do with ``subject``, up to the one that decides."""
        for rule in self.rules:
            why_not = rule.why_not(subject)
            yield Match(rule, why_not)
            if why_not is None and rule.enforce:
                return

    def is_open(self, repository: Repository) -> bool:
        """Tell whether every client may have everything of ``repository``, whatever it is."""
        for rule in self._about(repository):
            if rule.action is Action.DENY and rule.enforce:
                return False
            if not rule.is_about_clients and rule.enforce:
                return True
        return True

    def _about(self, repository: Repository) -> Iterator[Rule]:
        """Give the rules that are about ``repository``, in their order, whoever asks."""
        numbers = set(self._for_any)
        for pattern in patterns_about(repository):
            numbers.update(self._by_pattern.get(pattern, ()))
        for number in sorted(numbers):
            rule = self.rules[number]
            if not rule.registries or repository.registry in rule.registries:
                yield rule
