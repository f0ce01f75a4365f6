"""What a request is answered and why, in words: of what the daemon says in JSON (tag_documents.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .printing import ago, local_time

__all__ = ["answer_lines", "outcome_words"]

_BY_WORD = {
    "seen": "this proxy saw it first",
    "last-modified": "its registry has it since",
    "created": "it says that it was created",
}


def answer_lines(answer: Mapping[str, Any], now: float) -> Iterator[str]:
    """Give what a request is answered just now, and why, a line each.

    Arguments:
        now: seconds since the epoch.
    """
    yield f"answered now: {answer['digest'] or 'nothing'}"
    yield f"why: {outcome_words(answer)}"
    if answer.get("points_to") not in (None, answer["digest"]):
        yield f"its registry's: {answer['points_to']}"
    if answer.get("checked") is not None:
        yield f"its registry was asked: {ago(answer['checked'], now)}"


def outcome_words(answer: Mapping[str, Any]) -> str:
    """Return in words what comes of a rule, or of none."""
    return _OUTCOMES[answer["outcome"]](answer)


def _by_rule(answer: Mapping[str, Any]) -> str:
    rule = answer.get("rule")
    return "no rule is about it" if rule is None else f"by {rule}"


def _served(answer: Mapping[str, Any]) -> str:
    if answer.get("since") is None:
        return f"it is what its registry answers, {_by_rule(answer)}"
    return f"it is old enough, {_by_rule(answer)}: {_BY_WORD[answer['source']]} {local_time(answer['since'])}"


def _held(answer: Mapping[str, Any]) -> str:
    return (
        f"held until {local_time(answer['until'])}, {_by_rule(answer)}: of what its registry answers, "
        f"{_BY_WORD[answer['source']]} {local_time(answer['since'])}; until then it is what the tag pointed to before"
    )


def _pinned(answer: Mapping[str, Any]) -> str:
    if answer.get("in_file"):
        return "it is pinned in the configuration's file, below [pins]"
    return "it is pinned (crproxy tag unpin lets it go)"


def _unchecked(answer: Mapping[str, Any]) -> str:
    return f"{_by_rule(answer)} it has to be signed, which is looked at when it is pulled"


def _unknown(answer: Mapping[str, Any]) -> str:
    return f"nothing is known of it here: its registry is asked when it is pulled, {_by_rule(answer)}"


def _refused(answer: Mapping[str, Any]) -> str:
    return str(answer["error"])


_OUTCOMES = {
    "served": _served,
    "held": _held,
    "pinned": _pinned,
    "unchecked": _unchecked,
    "unknown": _unknown,
    "denied": _refused,
    "too-young": _refused,
    "not-pinned": _refused,
    "unsigned": _refused,
}
