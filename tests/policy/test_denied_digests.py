from __future__ import annotations

import pytest

from crproxy.oci.digests import Digest
from crproxy.policy.denied_digests import parse_denied

A, B = Digest.of(b"a"), Digest.of(b"b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("# nothing\n\n   \n", set()),
        (f"{A}", {A}),
        (f"{A}\n{B}\r\n{A}\n", {A, B}),
        # As scanners write it, and people.
        (f"  {A}  docker.io/library/nginx:1.27  # CVE\n{B}\tx\n", {A, B}),
    ],
)
def test_digests_are_read(text: str, expected: set[Digest]) -> None:
    assert parse_denied(text) == expected


@pytest.mark.parametrize("word", ["nginx", "sha256:abc", "sha256", str(A).upper(), f"@{A}"])
def test_what_is_none_is_told_by_its_line(word: str) -> None:
    with pytest.raises(ValueError, match=r"^line 3: .* is no digest: write sha256: and 64 hexadecimal digits$"):
        parse_denied(f"{A}\n\n{word}\n{B}")
