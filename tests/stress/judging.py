"""What is wrong with an answer to a client, whatever its registry said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.parts.images import sha256
from tests.parts.lies import Goods
from tests.parts.lies.heads import MARK

from .questions import CLOSED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts.wire import WireAnswer

    from .questions import Question

__all__ = ["wrongs", "wrongs_of_honest"]

# Nothing of these is the proxy's to repeat; Link and Warning are, in its own words.
_OURS = frozenset({"link", "warning", "content-type", "etag", "docker-content-digest"})
_OWN_FAILURES = frozenset({500, 501, 505, 507, 508, 511})
_ASKED_RANGE = re.compile(r"Range: bytes=([0-9]+)-")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
# A piece of a secret that is no longer than this may be in anything.
_TELLING = 32


def wrongs_of_honest(question: Question, answer: WireAnswer | None, content: bytes | None) -> Iterator[str]:
    """Say what is wrong with the answer to a question for what is there.

    Arguments:
        content: what it is, where that is known beforehand.
    """
    if answer is None:
        yield "an honest answer broke off"
    elif answer.status not in (200, 206):
        yield "an honest answer is refused"
    elif question.method == "GET" and content is not None:
        part = slice(0, 1) if answer.status == 206 else slice(None)
        if answer.body != content[part]:
            yield "an honest answer has other bytes"


def wrongs(question: Question, answer: WireAnswer) -> Iterator[str]:
    """Say what is wrong with an answer, whatever upstream said."""
    if answer.status in _OWN_FAILURES or answer.status > 511:
        yield "a failure of its own"
    if answer.status in (429, 503) and not answer.all("retry-after"):
        yield "it does not say when to ask again"
    for name, value in answer.fields:
        if MARK in value and name.lower() not in _OURS:
            yield f"upstream's {name} came through"
    if question.method == "HEAD":
        return
    yield from _wrong_bytes(question, answer)
    if answer.status == 200 and question.rest.startswith("manifests/"):
        digests = answer.all("docker-content-digest")
        if digests != [sha256(answer.body)]:
            yield f"a manifest of which it says that it is {digests}"


def _wrong_bytes(question: Question, answer: WireAnswer) -> Iterator[str]:
    digest = question.digest
    if answer.status == 200 and digest and sha256(answer.body) != digest:
        yield "other bytes than were asked for"
    if question.registry != CLOSED and _is_secret(answer.body):
        yield "somebody else's bytes"
    if answer.status == 206:
        yield from _wrong_part(question, answer)


def _wrong_part(question: Question, answer: WireAnswer) -> Iterator[str]:
    asked = [found for text in question.fields if (found := _ASKED_RANGE.match(text)) is not None]
    sent = _CONTENT_RANGE.fullmatch(", ".join(answer.all("content-range")))
    if not question.fields or sent is None or len(answer.body) != int(sent[2]) - int(sent[1]) + 1:
        yield "a part of which it is not clear which"
    elif any(found[1] != sent[1] for found in asked):
        yield "a part that was not asked for"


def _is_secret(body: bytes) -> bool:
    secret = Goods.of("s", 0)
    # Of all but the layer, which is random, pieces may be in anybody's.
    return body in secret.content.values() or (len(body) >= _TELLING and body in secret.content[secret.layer])
