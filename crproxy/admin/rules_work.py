"""What an operator sees of rules: which there are, and what comes of them for one request."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from ..config import Config
from ..oci.errors import RegistryError
from ..oci.images import Image
from ..policy.images import parse_image
from ..policy.rules import Action, Rule, Subject
from ..policy.units import exact_duration
from ..pullthrough.expected_answers import ExpectedAnswers
from .documents import Mistake
from .tag_documents import answer_document

__all__ = ["RulesWork"]


class RulesWork:
    """Lists rules, and tries them.

    Arguments:
        current: returns the configuration that counts now.
        expected: what requests are answered.
    """

    def __init__(self, current: Callable[[], Config], expected: ExpectedAnswers) -> None:
        self._current = current
        self._expected = expected

    def all(self) -> list[dict[str, Any]]:
        """Return the rules in their order, as JSON has them."""
        return [_described(number, rule) for number, rule in enumerate(self._current().rules.rules, 1)]

    def test(self, name: str, client: str = "", user: str = "") -> dict[str, Any]:
        """Return what is decided about a request, step by step, and what it is answered, as JSON has it.

        Arguments:
            client: the address that it comes from; empty where that is not to matter.
            user: who has logged in; empty is nobody.

        Raises:
            Mistake, RegistryError: there is no such request.
        """
        config = self._current()
        image = parse_image(config.names, name)
        subject = Subject(image.repository, _address(client), user or None)
        refused = _refused(config, subject)
        is_free = refused is None and config.access.is_privileged(subject.repository, subject.client)
        return {
            "image": image.full_name,
            "client": subject.client,
            "user": subject.user,
            "access": {"refused": refused, "privileged": is_free},
            "rules": [] if is_free or refused else list(self._steps(config, subject)),
            **self._answers(config, image, subject, refused),
        }

    def _steps(self, config: Config, subject: Subject) -> Iterator[dict[str, Any]]:
        for number, match in enumerate(config.rules.explain(subject), 1):
            yield {**_described(number, match.rule), "why_not": match.why_not}

    def _answers(self, config: Config, image: Image, subject: Subject, refused: str | None) -> dict[str, Any]:
        """Return which rule decides, what is answered, and what would be by the rules that are only tried."""
        if refused is not None:
            return {"decides": None, "answer": {"outcome": "denied", "digest": None, "error": refused}, "trials": []}
        decision, pins = config.decide(subject), config.pins

        def answer(rule: Rule | None) -> dict[str, Any]:
            expected = self._expected.of(image.repository, image.wanted, rule)
            is_configured = any((image.repository, image.wanted) == tag for tag in pins)
            return answer_document(expected, rule, is_configured=is_configured)

        return {
            "decides": None if decision.rule is None else decision.rule.name,
            "answer": answer(decision.rule),
            "trials": [answer(rule) for rule in decision.trials],
        }


def _refused(config: Config, subject: Subject) -> str | None:
    """Return in which words the lists of ``[access]`` refuse a request; None where they do not."""
    try:
        config.access.check(subject.repository, subject.client)
    except RegistryError as error:
        return error.message
    return None


def _address(text: str) -> str | None:
    if not text:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Mistake(f"{text[:80]!r} is no address of a client: write one such as 192.0.2.7") from None


def _described(number: int, rule: Rule) -> dict[str, Any]:
    return {
        "number": number,
        "name": rule.name,
        "about": list(_about(rule)) or ["everything"],
        "does": _does(rule),
        "enforced": rule.enforce,
    }


def _about(rule: Rule) -> Iterator[str]:
    """Give what a rule is about, as people write it."""
    for what, values in (
        ("images", rule.images),
        ("registries", rule.registries),
        ("clients in", rule.networks),
        ("users", rule.users),
    ):
        listed = [str(value) for value in values]
        if listed:
            yield f"{what} {', '.join(listed if what == 'clients in' else sorted(listed))}"


def _does(rule: Rule) -> str:
    """Return what a rule does, as people say it."""
    if rule.action is Action.DENY:
        return "deny"
    terms = []
    if rule.minimum_age:
        of_digests = ", digests as well" if rule.digests else ""
        terms.append(f"minimum age {exact_duration(rule.minimum_age)}{of_digests}")
    if rule.pinned:
        terms.append("pinned tags only")
    if rule.trust is not None:
        terms.append(f"signed by {rule.trust}")
    return "; ".join(terms) or "allow"
