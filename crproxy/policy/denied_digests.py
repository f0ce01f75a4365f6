"""A list of digests that are known to be bad, as people write it and scanners do."""

from __future__ import annotations

from ..oci.digests import Digest
from ..oci.errors import RegistryError

__all__ = ["parse_denied"]


def parse_denied(text: str) -> frozenset[Digest]:
    """Return the digests in ``text``: one a line, which may have more behind it, and ``#`` begins a comment.

    Raises:
        ValueError: a line is none; the text says which.
    """
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            found.add(Digest.parse(words[0]))
        except RegistryError:
            raise ValueError(
                f"line {number}: {words[0][:80]!r} is no digest: write sha256: and 64 hexadecimal digits"
            ) from None
    return frozenset(found)
