from __future__ import annotations

import pytest

from crproxy.policy.rewriting import NotText, decode


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbfa: 1\r\n", "é\n".encode(), b"a\rb\x0c\x85".replace(b"\x85", b"")])
def test_every_byte_of_a_text_is_in_it(data: bytes) -> None:
    assert decode(data).encode() == data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"caf\xe9", "this is not UTF-8, at byte 4"),
        ("image: x".encode("utf-16"), "this is UTF-16"),
        (b"a\0b", "there is a NUL at character 2"),
    ],
)
def test_what_is_no_text_is_refused_in_words(data: bytes, said: str) -> None:
    with pytest.raises(NotText, match=said):
        decode(data)
