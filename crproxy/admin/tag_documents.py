"""Tags as JSON has them: their changes, and what they are answered and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..policy.minimum_age import TagChange
from ..policy.rules import Rule
from ..pullthrough.expected_answers import Expected

__all__ = ["answer_document", "change_documents"]


def change_documents(changes: Sequence[TagChange], answered: str | None) -> list[dict[str, Any]]:
    """Return a tag's history, the latest change first.

    Arguments:
        changes: the oldest first.
        answered: the digest that the tag is answered by; None is none.
    """
    before = [None, *(change.digest for change in changes)]
    newest: set[str] = set()
    documents = []
    for change, former in reversed(list(zip(changes, before, strict=False))):
        digest = None if change.digest is None else str(change.digest)
        # Of several times that it pointed there, the last one is meant.
        is_answered = digest is not None and digest == answered and digest not in newest
        newest.add(digest or "")
        documents.append(
            {
                "seen": change.seen,
                "confirmed": change.last,
                "from": None if former is None else str(former),
                "to": digest,
                "asked_by": change.asked_by,
                "answered": is_answered,
            }
        )
    return documents


def answer_document(expected: Expected, rule: Rule | None, *, is_configured: bool = False) -> dict[str, Any]:
    """Return what something is answered.

    Arguments:
        rule: that decides; None is none.
        is_configured: its pin is one of the file.
    """
    ruling, judged = expected.ruling, expected.ruling.judged
    return {
        "outcome": ruling.outcome,
        "digest": None if ruling.digest is None else str(ruling.digest),
        "points_to": None if expected.current is None else str(expected.current),
        "checked": expected.checked,
        "rule": None if rule is None else rule.name,
        "since": None if judged is None else judged.since,
        "source": None if judged is None else judged.source,
        "until": None if judged is None else judged.until,
        "error": None if ruling.error is None else ruling.error.message,
        "in_file": is_configured,
    }
