"""The bytes of a file as a text, or why they are none."""

from __future__ import annotations

__all__ = ["BOM", "NotText", "decode"]

BOM = "\ufeff"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class NotText(ValueError):
    """The bytes are no text in UTF-8; the message says it."""


def decode(data: bytes) -> str:
    """Return the text of a file, every character of it: a byte order mark and the ends of lines, too.

    Raises:
        NotText: it is in another encoding, or no text.
    """
    if data.startswith(_UTF16):
        raise NotText("this is UTF-16: save it as UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotText(f"this is not UTF-8, at byte {error.start + 1}: save it as UTF-8") from None
    if "\0" in text:
        raise NotText(f"this is no text: there is a NUL at character {text.index(chr(0)) + 1}")
    return text
