from __future__ import annotations

import pytest

from crproxy.oci.digests import Digest
from crproxy.policy.minimum_age import TagChange
from crproxy.policy.rollbacks import former

A, B, C = (Digest.of(text) for text in (b"a", b"b", b"c"))


@pytest.mark.parametrize(
    ("pointed", "current", "barred", "expected"),
    [
        ([A, B], B, [], A),
        ([A, B, C], C, [], B),
        ([A, B, C], B, [], A),
        ([A, B, C], A, [], None),
        ([A], A, [], None),
        ([], None, [], None),
        # It was gone: what it pointed to then.
        ([A, B, None], None, [], B),
        ([A, None, B], B, [], A),
        # The last time that it pointed there is meant.
        ([A, B, A], A, [], B),
        ([A, B, A], B, [], A),
        # Pinned to what was never seen under this tag.
        ([A, B], C, [], B),
        ([A, B, C], C, [B], A),
        ([A, B], B, [A], None),
    ],
)
def test_what_a_tag_pointed_to_before(
    pointed: list[Digest | None], current: Digest | None, barred: list[Digest], expected: Digest | None
) -> None:
    changes = [TagChange(digest, float(number), float(number)) for number, digest in enumerate(pointed)]
    assert former(changes, current, barred) == expected
