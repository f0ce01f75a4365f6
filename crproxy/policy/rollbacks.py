"""To which digest a tag is rolled back: what it pointed to before."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..oci.digests import Digest
from .minimum_age import TagChange

__all__ = ["former"]


def former(changes: Sequence[TagChange], current: Digest | None, barred: Collection[Digest] = ()) -> Digest | None:
    """Return what a tag pointed to before ``current``; None where nothing is known of that.

    Arguments:
        changes: the tag's history, the oldest first.
        current: what it is answered by, or points to; None where it is gone, and for what is not in its history the
            last one counts.
        barred: digests that nothing is rolled back to.
    """
    pointed = [change.digest for change in changes]
    last = len(pointed)
    for number, digest in enumerate(pointed):
        if digest == current:
            last = number
    earlier = (digest for digest in reversed(pointed[:last]) if digest is not None and digest != current)
    return next((digest for digest in earlier if digest not in barred), None)
