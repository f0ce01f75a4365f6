"""Digests: how content is named, and how it is checked against its name.

Grammar and registered algorithms: OCI image specification, "Digests" (descriptor.md).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from .errors import ErrorCode, RegistryError

__all__ = ["Digest", "Verifier"]

# "Registered Algorithms": the encoded portion MUST match /[a-f0-9]{64}/ for sha256, {128} for sha512.
_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[a-f0-9]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The name of some content: an algorithm and the hash in lower-case hexadecimal."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest that ``text`` writes, or raise DIGEST_INVALID."""
        algorithm, colon, encoded = text.partition(":")
        length = _HEX_LENGTHS.get(algorithm)
        if not colon or length is None or len(encoded) != length or not _HEX.fullmatch(encoded):
            raise RegistryError(
                ErrorCode.DIGEST_INVALID,
                f"{text[:160]!r} is not a digest: write sha256: and 64, or sha512: and 128, "
                "lower-case hexadecimal digits",
            )
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Digest:
        """Return the digest of ``content``."""
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    def names(self, content: bytes) -> bool:
        """Tell whether this digest is the digest of ``content``."""
        return Digest.of(content, self.algorithm) == self

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


class Verifier:
    """Checks content that arrives in pieces against its digest and, where it is known, its size in bytes."""

    def __init__(self, digest: Digest, size: int | None = None) -> None:
        self.digest = digest
        self.size = size
        self.seen = 0
        self._hash = hashlib.new(digest.algorithm)

    def copy(self) -> Verifier:
        """Return a verifier that has taken in what this one has, and goes on alone."""
        other = Verifier(self.digest, self.size)
        other.seen = self.seen
        other._hash = self._hash.copy()
        return other

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Take in the next piece."""
        self._hash.update(piece)
        self.seen += len(piece)

    def matches(self) -> bool:
        """Tell whether all that was taken in is the content that the digest names."""
        right_size = self.size is None or self.seen == self.size
        return right_size and self._hash.hexdigest() == self.digest.hex
