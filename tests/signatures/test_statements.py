"""Statements about images."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from crproxy.oci.digests import Digest
from crproxy.signatures import NotSigned
from crproxy.signatures.statements import PAYLOAD_TYPE, check_statement, encoded
from tests.signatures.test_documents import VALUES
from tests.signing import PROVENANCE, statement

IMAGE, LONG = Digest.of(b"image"), Digest.of(b"image", "sha512")


@pytest.mark.parametrize("image", [IMAGE, LONG])
def test_it_is_signed(image: Digest) -> None:
    check_statement(statement(image), PAYLOAD_TYPE, image)


def test_with_others() -> None:
    subjects = [{"digest": {"sha256": "0"}}, {"digest": {"sha256": IMAGE.hex}}]
    check_statement(statement(IMAGE, subject=subjects), PAYLOAD_TYPE, IMAGE)


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (statement(IMAGE), "text/plain", "no in-toto statement, but 'text/plain'"),
        (statement(IMAGE), "\N{SNOWMAN}\n", "but '.u2603.n'"),
        (statement(LONG), PAYLOAD_TYPE, "one of another image"),
        (statement(IMAGE, subject=[]), PAYLOAD_TYPE, "one of another image"),
        (statement(IMAGE, subject=[{"digest": {"sha512": IMAGE.hex}}]), PAYLOAD_TYPE, "one of another image"),
        (statement(IMAGE, subject=[{"digest": IMAGE.hex}, 1, None]), PAYLOAD_TYPE, "one of another image"),
        (statement(IMAGE, PROVENANCE), PAYLOAD_TYPE, "is 'https://slsa.dev/provenance/v1', which is no signature"),
        (statement(IMAGE, _type="https://in-toto.io/Statement/v9"), PAYLOAD_TYPE, "of a version that is not known"),
        (b"", PAYLOAD_TYPE, "cannot be read"),
        (b" " * 2_000_000, PAYLOAD_TYPE, "has more than"),
    ],
)
def test_it_says_something_else(content: bytes, kind: str, words: str) -> None:
    with pytest.raises(NotSigned, match=words):
        check_statement(content, kind, IMAGE)


@given(VALUES)
def test_any_subject_is_refused(value: Any) -> None:
    with pytest.raises(NotSigned):
        check_statement(statement(IMAGE, subject=value), PAYLOAD_TYPE, IMAGE)
    with pytest.raises(NotSigned):
        check_statement(json.dumps(value).encode(), PAYLOAD_TYPE, IMAGE)


def test_what_is_signed_is_as_dsse_has_it() -> None:
    """The example of protocol.md."""
    signed = encoded("http://example.com/HelloWorld", b"hello world")
    assert signed == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
