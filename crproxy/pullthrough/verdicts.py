"""What is known of images' signatures: kept once it is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..oci.digests import Digest
from ..oci.names import Repository
from ..sharing.bounding import drop_oldest

__all__ = ["MemoryVerdicts", "Question", "Verdicts"]


@dataclass(frozen=True, slots=True)
class Question:
    """Whether an image is signed.

    Arguments:
        repository: it is in; what is signed in one says nothing of another.
        digest: of its manifest.
        trust: whose signatures count, by `Trust.fingerprint`.
    """

    repository: Repository
    digest: Digest
    trust: str


class Verdicts(Protocol):
    """Keeps that images are signed. That one is not, may change with the next signature, and is not kept here."""

    def signed(self, question: Question) -> bool | None:
        """Tell whether it is known to be signed; None, or False, where that is not known."""

    def note(self, question: Question) -> None:
        """It is signed, and will be."""


class MemoryVerdicts:
    """Keeps the newest ones, while this process runs (Verdicts)."""

    def __init__(self) -> None:
        self._signed: dict[Question, bool] = {}

    def signed(self, question: Question) -> bool | None:
        """Tell whether it is known to be signed (Verdicts)."""
        return self._signed.get(question)

    def note(self, question: Question) -> None:
        """It is signed (Verdicts)."""
        self._signed[question] = True
        drop_oldest(self._signed)
