"""Manifests as the rules want them: a tag is answered by a pin, by what it points to, or what it pointed to before."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from twisted.logger import Logger

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.manifests import is_plain_index
from ..oci.names import Reference, Repository, Tag, names_digest
from ..policy import rule_texts
from ..policy.freshness import Freshness, Lifetimes, freshness
from ..policy.minimum_age import Judgement
from ..policy.rules import Action, Decision, Rule
from ..signatures.trust import Trust
from ..store.entries import View
from ..store.index import Index
from .ages import Ages
from .manifests import Manifests
from .reply import Content, Reply
from .rulings import Outcome, Ruling, by_age, first_denied

__all__ = ["Counted", "Outcome", "RuledManifests", "Signatures"]


class Signatures(Protocol):
    """Tells whether something is signed."""

    async def check(self, view: View, digest: Digest, trust: Trust) -> None:
        """Return where a manifest was signed by who is trusted. Raises RegistryError."""

    def children(self, view: View, digest: Digest, content: bytes, trust: Trust) -> None:
        """Have what an index refers to count as signed with it."""


# Is told what has come of a rule; and of a rule that is not enforced, what would have.
Counted = Callable[[Rule, str], object]


class RuledManifests:
    """Answers requests for manifests.

    Arguments:
        manifests: as upstream has them.
        ages: how old they are.
        index: has when tags were checked last.
        lifetimes: how long that counts.
        pin_of: returns by which digest a tag is answered in any case; None where it is not pinned.
        denied: returns the digests that are known to be bad.
        signatures: tell whether something is signed.
        counted: is told what has come of rules.
        now: seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self,
        manifests: Manifests,
        ages: Ages,
        index: Index,
        lifetimes: Lifetimes,
        pin_of: Callable[[Repository, Tag], Digest | None],
        denied: Callable[[], Collection[Digest]],
        signatures: Signatures,
        counted: Counted,
        now: Callable[[], float],
    ) -> None:
        self._manifests = manifests
        self._ages = ages
        self._index = index
        self._lifetimes = lifetimes
        self._pin_of = pin_of
        self._denied = denied
        self._signatures = signatures
        self._counted = counted
        self._now = now

    async def get(self, view: View, reference: Reference, method: str, decision: Decision) -> Reply:
        """Return the reply to a GET or HEAD of a manifest. Raises RegistryError."""
        if isinstance(reference, Digest):
            reply = await self._by_digest(view, reference, method, decision)
        else:
            reply = await self._by_tag(view, reference, method, decision)
        self._refuse_denied(view.repository.named(reference), reply)
        digest = _digest_of(reply)
        return reply if digest is None else self.unless_denied(reply, digest)

    def unless_denied(self, reply: Reply, digest: Digest) -> Reply:
        """Return ``reply``, which is not given again once ``digest`` is known to be bad."""
        return self._lasting(reply, lambda: None if digest in self._denied() else math.inf)

    def check(self, decision: Decision, repository: Repository) -> None:
        """Raise DENIED where the rules serve nothing of a repository."""
        for rule in decision.trials:
            if rule.action is Action.DENY:
                self._try(rule, str(repository), Outcome.DENIED)
        if decision.rule is not None and decision.rule.action is Action.DENY:
            self._counted(decision.rule, Outcome.DENIED)
            raise rule_texts.denied(decision.rule, repository)

    def refuse_denied(self, repository: Repository, digest: Digest) -> None:
        """Raise DENIED where a digest is known to be bad."""
        if digest in self._denied():
            raise rule_texts.is_denied_digest(repository.named(digest), digest)

    # By digest

    async def _by_digest(self, view: View, digest: Digest, method: str, decision: Decision) -> Reply:
        self.refuse_denied(view.repository, digest)
        for trial in _conditional(decision.trials):
            self._try(trial, view.repository.named(digest), (await self._of_digest(view, digest, trial)).outcome)
        rule = decision.rule
        verdict = None if rule is None else await self._of_digest(view, digest, rule)
        if rule is not None and verdict is not None:
            self._counted(rule, verdict.outcome)
            if verdict.error is not None:
                raise verdict.error
        reply = await self._manifests.get(view, digest, method)
        if rule is not None and verdict is not None:
            self._of_children(view, reply, rule, verdict.judged)
        return reply

    async def _of_digest(self, view: View, digest: Digest, rule: Rule) -> Ruling:
        if rule.minimum_age and rule.digests:
            await self._ages.hear_of(view.repository, digest)
            judged = self._ages.judge_digest(view.repository, digest, rule)
            if judged.digest is None and await self._ages.learn(view, digest, rule):
                judged = self._ages.judge_digest(view.repository, digest, rule)
            return await self._signed(view, by_age(rule, view.repository, digest, judged), rule)
        return await self._signed(view, Ruling(digest, Outcome.SERVED), rule)

    # By tag

    async def _by_tag(self, view: View, tag: Tag, method: str, decision: Decision) -> Reply:
        pin = self._pin_of(view.repository, tag)
        if pin is not None:
            self.refuse_denied(view.repository, pin)
            if decision.rule is not None:
                ruling = await self._signed(view, Ruling(pin, Outcome.SERVED), decision.rule)
                self._counted(decision.rule, ruling.outcome)
                if ruling.error is not None:
                    raise ruling.error
            reply = _warned(await self._manifests.get(view, pin, method), rule_texts.pinned(view.repository, tag))
            if decision.rule is not None:
                self._of_children(view, reply, decision.rule, None)
            return self._lasting(reply, lambda: math.inf if self._pin_of(view.repository, tag) == pin else None)
        if decision.rule is not None and names_digest(tag):
            return await self._about_digest(view, tag, method, decision.rule)
        if decision.rule is not None and decision.rule.pinned:
            rule = decision.rule
            self._counted(rule, Outcome.NOT_PINNED)
            raise rule_texts.not_pinned(rule, view.repository, tag)
        reply = await self._manifests.get(view, tag, method)
        try:
            return await self._of_tag(view, tag, method, decision, reply)
        except BaseException:
            reply.body.abandon()
            raise

    async def _about_digest(self, view: View, tag: Tag, method: str, rule: Rule) -> Reply:
        """Return what belongs to a digest, which a client has named by this tag: signatures, and lists of such.

        A list need not be signed: what it refers to is asked for by digest, and has to be.
        """
        reply = await self._manifests.get(view, tag, method)
        try:
            if rule.trust is not None:
                whole = await self._manifests.get(view, tag, "GET")
                content, digest = whole.body.content if isinstance(whole.body, Content) else b"", _digest_of(whole)
                if digest is None or not is_plain_index(content):
                    await self._signatures.check(view, digest or Digest.of(content), rule.trust)
        except BaseException:
            reply.body.abandon()
            raise
        self._counted(rule, Outcome.SERVED)
        return replace(reply, lasting=None)

    async def _of_tag(self, view: View, tag: Tag, method: str, decision: Decision, reply: Reply) -> Reply:
        """Return what is answered in the place of ``reply``, which is upstream's."""
        rule, trials = decision.rule, _conditional(decision.trials)
        if not trials and (rule is None or not rule.has_terms):
            return self._as_it_is(view, tag, rule, reply)
        reply, upstreams = await self._with_digest(view, tag, reply)
        for trial in trials:
            outcome = Outcome.NOT_PINNED
            if not trial.pinned:
                outcome = (await self._verdict(view, tag, upstreams, trial)).outcome
            self._try(trial, view.repository.named(tag), outcome)
        if rule is None or not rule.has_terms:
            return self._as_it_is(view, tag, rule, reply)
        return await self._by_rule(view, tag, method, rule, reply, upstreams)

    def _as_it_is(self, view: View, tag: Tag, rule: Rule | None, reply: Reply) -> Reply:
        if rule is not None:
            self._counted(rule, Outcome.SERVED)
        return self._lasting(reply, lambda: math.inf if self._pin_of(view.repository, tag) is None else None)

    async def _by_rule(self, view: View, tag: Tag, method: str, rule: Rule, reply: Reply, upstreams: Digest) -> Reply:
        verdict = await self._verdict(view, tag, upstreams, rule)
        self._counted(rule, verdict.outcome)
        if verdict.error is not None:
            raise verdict.error
        answered, judged = verdict.digest, verdict.judged
        if answered is not None and answered != upstreams:
            reply.body.abandon()
            stale = reply.headers.get("Warning")
            reply = await self._manifests.get(view, answered, method)
            reply = reply if stale is None else _warned(reply, stale)
        if judged is not None and judged.is_held:
            reply = _warned(reply, rule_texts.held(rule, view.repository, tag, judged))
        self._of_children(view, reply, rule, judged)
        return self._lasting(reply, lambda: self._still(view, tag, rule, answered))

    async def _with_digest(self, view: View, tag: Tag, reply: Reply) -> tuple[Reply, Digest]:
        """Return a reply and which digest it is, which not all that upstreams answer to HEAD says."""
        digest = _digest_of(reply)
        if digest is None:
            reply.body.abandon()
            reply = await self._manifests.get(view, tag, "GET")
            # All that is here has one: what had none must not be served unjudged.
            digest = Digest.parse(reply.headers["Docker-Content-Digest"])
        return reply, digest

    async def _verdict(self, view: View, tag: Tag, upstreams: Digest, rule: Rule) -> Ruling:
        verdict = Ruling(upstreams, Outcome.SERVED)
        if rule.minimum_age:
            verdict = by_age(rule, view.repository, tag, await self._judge(view, tag, upstreams, rule))
        return await self._signed(view, verdict, rule)

    async def _judge(self, view: View, tag: Tag, upstreams: Digest, rule: Rule) -> Judgement:
        await self._ages.hear(view, tag, upstreams)
        # What a client's own login shows is asked for each time, and so is confirmed just now.
        confirmed = upstreams if view.caller is not None else None
        judged = self._ages.judge(view, tag, rule, confirmed)
        if judged is None:
            # Nothing could be noted of it.
            return self._ages.judge_digest(view.repository, upstreams, rule)
        if judged.is_held and await self._ages.learn(view, judged.current, rule):
            return self._ages.judge(view, tag, rule, confirmed) or judged
        return judged

    async def _signed(self, view: View, verdict: Ruling, rule: Rule) -> Ruling:
        if rule.trust is None or verdict.digest is None:
            return verdict
        try:
            await self._signatures.check(view, verdict.digest, rule.trust)
        except RegistryError as error:
            return Ruling(None, Outcome.UNSIGNED, error, verdict.judged)
        return verdict

    def _still(self, view: View, tag: Tag, rule: Rule, answered: Digest | None) -> float | None:
        """Return until when a tag is answered by this digest, if nothing happens; None: not any more."""
        entry = self._index.tagged(view, tag.name)
        if self._pin_of(view.repository, tag) is not None or entry is None:
            return None
        if not rule.minimum_age:
            return math.inf
        judged = self._ages.judge(view, tag, rule)
        if judged is None or judged.digest != answered:
            return None
        if not judged.is_held:
            return math.inf
        # Upstream is to be asked again where the tag points, though another digest is served.
        is_fresh = freshness(entry.checked, self._now(), self._lifetimes) is Freshness.FRESH
        return min(entry.checked + self._lifetimes.tag_ttl, judged.until) if is_fresh else None

    # All

    def _of_children(self, view: View, reply: Reply, rule: Rule, judged: Judgement | None) -> None:
        """Note of what an index refers to that it may be had with it: clients ask for it by its digest."""
        digest = _digest_of(reply)
        if digest is None or not isinstance(reply.body, Content):
            return
        if rule.digests and judged is not None:
            # What is answered is old enough, though the tag may point to something newer.
            old_enough = min(judged.since, self._now() - rule.minimum_age)
            self._ages.of_children(view, reply.body.content, old_enough)
        if rule.trust is not None:
            self._signatures.children(view, digest, reply.body.content, rule.trust)

    def _refuse_denied(self, name: str, reply: Reply) -> None:
        """Raise DENIED where a reply is known to be bad, or a part of it."""
        content = reply.body.content if isinstance(reply.body, Content) else None
        found = first_denied(self._denied(), _digest_of(reply), content)
        if found is not None:
            reply.body.abandon()
            raise rule_texts.is_denied_digest(name, found)

    def _lasting(self, reply: Reply, confirm: Callable[[], float | None]) -> Reply:
        return reply if reply.lasting is None else replace(reply, lasting=reply.lasting.only_while(confirm))

    def _try(self, rule: Rule, name: str, outcome: str) -> None:
        """Tell what a rule would have done that is not enforced."""
        self._counted(rule, outcome)
        if outcome != Outcome.SERVED:
            self._log.info(
                "{rule} is not enforced; it would have {outcome} {name}",
                rule=rule.name,
                outcome=_WOULD[outcome],
                name=name,
            )


_WOULD = {
    Outcome.DENIED: "refused",
    Outcome.HELD: "answered by what it pointed to before",
    Outcome.TOO_YOUNG: "refused as too young",
    Outcome.NOT_PINNED: "refused without a pin",
    Outcome.UNSIGNED: "refused as not signed",
}


def _conditional(trials: tuple[Rule, ...]) -> list[Rule]:
    return [rule for rule in trials if rule.action is Action.ALLOW]


def _digest_of(reply: Reply) -> Digest | None:
    said = reply.headers.get("Docker-Content-Digest")
    return None if said is None else Digest.parse(said)


def _warned(reply: Reply, warning: str) -> Reply:
    """Return ``reply`` with one more Warning, in front of what it has (RFC 7234, 5.5: a list)."""
    others = reply.headers.get("Warning")
    return replace(reply, headers={**reply.headers, "Warning": f"{warning}, {others}" if others else warning})
