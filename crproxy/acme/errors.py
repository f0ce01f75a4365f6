"""What a CA says when it does not do what was asked (RFC 7807), and what can go wrong with one.

Each error's words are for the operator: they name the CA, what was asked of it, and what it said. Knows no requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

__all__ = [
    "AcmeError",
    "CaUnreachable",
    "Malformed",
    "Problem",
    "RateLimited",
    "Refused",
    "StillPending",
]

Value = TypeVar("Value")

_PREFIX = "urn:ietf:params:acme:error:"
# Of each of the CA's own texts, this much goes into a message.
_LONGEST_TEXT = 500
# Subproblems that are read, and how deep: one for each name of an order, and they have none themselves.
_MOST_SUBPROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 7807; RFC 8555, 6.7).

    Arguments:
        kind: ACME's own types without their prefix, such as ``badNonce``; any other type as it is; empty where unknown.
        detail: the CA's words.
        identifier: the name that a subproblem is about.
        subproblems: one for each name (RFC 8555, 6.7.1).
    """

    kind: str = ""
    detail: str = ""
    identifier: str = ""
    subproblems: tuple[Problem, ...] = ()

    @classmethod
    def read(cls, document: object) -> Problem:
        """Read what can be read of ``document``: a refusal must not get lost because it is badly written.

        "If a member's value type does not match the specified type, the member MUST be ignored" (RFC 9457, 3.1).
        """
        below = _member(document, "subproblems", list) or []
        return cls._read(document, tuple(cls._read(found, ()) for found in below[:_MOST_SUBPROBLEMS]))

    @classmethod
    def _read(cls, document: object, subproblems: tuple[Problem, ...]) -> Problem:
        kind = _member(document, "type", str) or ""
        detail = _member(document, "detail", str) or _member(document, "title", str) or ""
        identifier = _member(_member(document, "identifier", dict), "value", str) or ""
        return cls(kind.removeprefix(_PREFIX), detail, identifier, subproblems)

    def __str__(self) -> str:
        words = _printable(self.detail) or "no reason given"
        kind = f" ({_printable(self.kind)})" if self.kind else ""
        about = f"{_printable(self.identifier)}: " if self.identifier else ""
        return "; ".join([f"{about}{words}{kind}", *map(str, self.subproblems)])


class AcmeError(Exception):
    """No certificate now.

    Arguments:
        retry_after: the seconds after which the CA wants to be asked again, where it said so.
    """

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CaUnreachable(AcmeError):
    """The CA does not answer, or says that it cannot now: to be asked again, be it for any name."""


class Malformed(AcmeError):
    """The CA's answer is not one of the protocol's."""


class StillPending(AcmeError):
    """The CA has not come to an end in the time that it is given."""


class Refused(AcmeError):
    """The CA said no, and why."""

    def __init__(self, message: str, problem: Problem, *, retry_after: int | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.problem = problem


class RateLimited(Refused):
    """The CA was asked too much: it wants not to be asked for a while."""


def _member(document: object, name: str, kind: type[Value]) -> Value | None:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, kind) else None


def _printable(text: str) -> str:
    """Return ``text`` in one line: it comes from outside and goes into a log."""
    return "".join(character if character.isprintable() else " " for character in text[:_LONGEST_TEXT]).strip()
