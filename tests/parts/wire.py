"""Answers as they are on the wire: read strictly, so that what is not HTTP is found to be none (RFC 9112)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Incomplete", "Malformed", "WireAnswer", "read_answers"]

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [ -~]*")
# Names are tokens; values have no control character but the tab (RFC 9110, 5.5).
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([^\x00-\x08\x0a-\x1f\x7f]*)")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})\r\n")
_LONGEST_HEADER = 64 * 1024


class Malformed(AssertionError):
    """Something on the wire is no answer."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """One answer."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of each field of this name."""
        return [value for field, value in self.fields if field.lower() == name]


class Incomplete(Malformed):
    """More is to come."""


def read_answers(
    data: bytes, methods: Sequence[bytes] | None, *, ended: bool, relayed: bool = False
) -> list[WireAnswer]:
    """Return the answers that ``data`` consists of, interim ones (100) left out.

    Arguments:
        methods: of the requests; None where nobody can tell which they were, so that any may have been a HEAD.
        ended: the server closed the connection, so that nothing more is to come.
        relayed: bodies may be somebody else's, who calls anything JSON.

    Raises:
        Malformed: it is something else, or more than was asked for.
    """
    answers: list[WireAnswer] = []
    while data:
        heads = (False, True) if methods is None else (methods[len(answers) :][:1] == (b"HEAD",),)
        if methods is not None and len(answers) >= len(methods):
            # The refusal of what comes after the last request, such as an empty line, has a status of its own.
            raise Malformed(f"more answers than requests: {data[:200]!r}")
        answer, data = _read_either(data, heads, ended, relayed)
        if answer.status >= 200:
            answers.append(answer)
    return answers


def _read_either(data: bytes, heads: Sequence[bool], ended: bool, relayed: bool) -> tuple[WireAnswer, bytes]:
    failure: Malformed | None = None
    for head in heads:
        try:
            answer, rest = _read(data, head, ended, relayed)
        except Malformed as malformed:
            failure = failure or malformed
            continue
        if len(heads) == 1 or not rest or rest.startswith(b"HTTP/1."):
            return answer, rest
    raise failure or Malformed(f"after an answer: {data[:200]!r}")


def _read(data: bytes, head: bool, ended: bool, relayed: bool) -> tuple[WireAnswer, bytes]:
    header, end, rest = data.partition(b"\r\n\r\n")
    if not end or len(header) > _LONGEST_HEADER:
        raise Incomplete(f"a header without an end: {header[:200]!r}")
    first, *lines = header.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise Malformed(f"no status line: {first[:200]!r}")
    fields = []
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Malformed(f"no field: {line[:200]!r}")
        fields.append((field[1].decode(), field[2].decode("latin-1")))
    answer = WireAnswer(int(status[1]), tuple(fields), b"")
    body, rest = _body(answer, rest, head, ended)
    whole = WireAnswer(answer.status, answer.fields, body)
    return whole if head or relayed else _checked(whole), rest


def _body(answer: WireAnswer, rest: bytes, head: bool, ended: bool) -> tuple[bytes, bytes]:
    """The length of a body (RFC 9112, 6.3)."""
    lengths, codings = answer.all("content-length"), answer.all("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Malformed(f"two lengths: {answer}")
    if head or answer.status < 200 or answer.status in (204, 304):
        return b"", rest
    if codings:
        return _chunked(rest)
    if not lengths:
        if not ended:
            raise Incomplete("the end of the connection is to be the end of the body")
        return rest, b""
    length = int(lengths[0])
    if len(rest) < length:
        raise Incomplete(f"{len(rest)} bytes of {length}")
    return rest[:length], rest[length:]


def _chunked(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size = _CHUNK.match(rest)
        if size is None:
            raise Incomplete(f"no chunk: {rest[:50]!r}")
        count, rest = int(size[1], 16), rest[size.end() :]
        if rest[count : count + 2] != b"\r\n":
            raise Incomplete(f"no end of a chunk: {rest[count : count + 50]!r}")
        body, rest = body + rest[:count], rest[count + 2 :]
        if not count:
            return body, rest


def _checked(answer: WireAnswer) -> WireAnswer:
    if answer.body and answer.all("content-type") == ["application/json"]:
        try:
            json.loads(answer.body)
        except ValueError:
            raise Malformed(f"this is no JSON: {answer}") from None
    return answer
