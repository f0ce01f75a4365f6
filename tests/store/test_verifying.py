from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest, Verifier
from crproxy.store.blobs import WrongContent
from crproxy.store.verifying import Verifying
from tests.upstream.conftest import Consumer

pieces = st.lists(st.binary(max_size=5), max_size=8)


@given(pieces)
def test_right_content_passes_however_it_is_cut(pieces: list[bytes]) -> None:
    consumer, content = Consumer(), b"".join(pieces)
    verifying = Verifying(consumer, Verifier(Digest.of(content)))
    for piece in pieces:
        verifying.write(piece)
    assert consumer.content == content[:-1]
    verifying.check()
    verifying.finish()
    assert consumer.content == content


@given(pieces, st.binary(max_size=5))
def test_of_wrong_content_the_last_byte_never_passes(pieces: list[bytes], other: bytes) -> None:
    consumer, content = Consumer(), b"".join(pieces)
    verifying = Verifying(consumer, Verifier(Digest.of(content + b"x" + other)))
    for piece in pieces:
        verifying.write(piece)
    with pytest.raises(WrongContent):
        verifying.check()
    assert consumer.content == content[:-1]


def test_it_goes_on_from_what_was_verified_before() -> None:
    consumer, verifier = Consumer(), Verifier(Digest.of(b"abcdef"))
    verifier.update(b"abc")
    verifying = Verifying(consumer, verifier)
    verifying.write(b"def")
    verifying.finish()
    assert consumer.content == b"def"


def test_producers_are_handed_through() -> None:
    consumer, producer = Consumer(), object()
    verifying = Verifying(consumer, Verifier(Digest.of(b"")))
    verifying.registerProducer(producer, True)
    assert (consumer.producer, consumer.streaming) == (producer, True)
    verifying.unregisterProducer()
    assert consumer.unregistered == 1
