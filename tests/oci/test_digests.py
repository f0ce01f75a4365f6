from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.digests import Digest, Verifier
from crproxy.oci.errors import ErrorCode, RegistryError
from tests import strategies
from tests.outcomes import outcome


@given(strategies.digests)
def test_a_digest_prints_as_it_was_written(text: str) -> None:
    assert str(Digest.parse(text)) == text


HEX = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "sha256",
        "sha256:",
        HEX,
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"sha256:{HEX[:-1]}g",
        f"sha256:{HEX[:-1]}\n",
        f"sha256:{HEX[:-1]}٣",
        f"SHA256:{HEX}",
        f"sha512:{HEX}",
        f"sha384:{'0' * 96}",
        f"md5:{'0' * 32}",
        f" sha256:{HEX}",
        f"sha256:{HEX}:",
        f"sha256:../{HEX[3:]}",
    ],
)
def test_anything_else_is_an_invalid_digest(text: str) -> None:
    with pytest.raises(RegistryError) as raised:
        Digest.parse(text)
    assert raised.value.code is ErrorCode.DIGEST_INVALID


@given(st.text())
def test_any_text_is_a_digest_or_invalid(text: str) -> None:
    found = outcome(RegistryError, Digest.parse, text)
    if isinstance(found, RegistryError):
        assert found.code is ErrorCode.DIGEST_INVALID
    else:
        assert str(found) == text


def test_the_digest_of_nothing_is_the_well_known_one() -> None:
    assert str(Digest.of(b"")) == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_digest_names_its_content_and_no_other(algorithm: str) -> None:
    digest = Digest.of(b"content", algorithm)
    assert digest == Digest(algorithm, hashlib.new(algorithm, b"content").hexdigest())
    assert digest.names(b"content")
    assert not digest.names(b"content\n")


@given(st.lists(st.binary()), st.sampled_from(["sha256", "sha512"]))
def test_content_in_any_pieces_matches_its_digest_and_size(pieces: list[bytes], algorithm: str) -> None:
    content = b"".join(pieces)
    verifier = Verifier(Digest.of(content, algorithm), len(content))
    for piece in pieces:
        verifier.update(piece)
    assert verifier.seen == len(content)
    assert verifier.matches()


@given(st.binary(), st.binary(min_size=1))
def test_content_with_more_behind_it_does_not_match(content: bytes, more: bytes) -> None:
    verifier = Verifier(Digest.of(content))
    verifier.update(content)
    verifier.update(more)
    assert not verifier.matches()


def test_content_of_another_size_than_promised_does_not_match() -> None:
    verifier = Verifier(Digest.of(b"content"), 6)
    verifier.update(b"content")
    assert not verifier.matches()


def test_pieces_may_be_views_of_a_buffer() -> None:
    verifier = Verifier(Digest.of(b"content"), 7)
    verifier.update(memoryview(b"content")[:3])
    verifier.update(bytearray(b"tent"))
    assert verifier.matches()
