"""What is known of images' signatures."""

from __future__ import annotations

from crproxy.oci.digests import Digest
from crproxy.pullthrough.verdicts import MemoryVerdicts, Question
from crproxy.sharing.bounding import KEPT
from tests.pullthrough.conftest import OTHER, REPOSITORY

IMAGE = Digest.of(b"image")


def test_what_was_noted_and_nothing_else() -> None:
    verdicts = MemoryVerdicts()
    verdicts.note(Question(REPOSITORY, IMAGE, "trust"))
    assert verdicts.signed(Question(REPOSITORY, IMAGE, "trust"))
    assert not verdicts.signed(Question(OTHER, IMAGE, "trust"))
    assert not verdicts.signed(Question(REPOSITORY, Digest.of(b"other"), "trust"))
    assert not verdicts.signed(Question(REPOSITORY, IMAGE, "other trust"))


def test_it_has_a_bound() -> None:
    verdicts = MemoryVerdicts()
    questions = [Question(REPOSITORY, IMAGE, str(number)) for number in range(KEPT + 1)]
    for question in questions:
        verdicts.note(question)
    assert not verdicts.signed(questions[0])
    assert verdicts.signed(questions[1])
