"""The lines of an htpasswd file: one put in, replaced or taken out, and all others left as they are, byte for byte.

Pure: where the file lies, and how a password is hashed, is not known here. What the daemon takes of one is decided in
crproxy/config/clients.py.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

__all__ = ["NAME_BYTES", "check_name", "names_in", "with_user", "without_user"]

# As many as Apache's tool takes (httpd, support/htpasswd.c, MAX_STRING_LEN less what follows).
NAME_BYTES = 255


def check_name(name: str) -> None:
    """Raise ValueError, with what to write instead, where ``name`` cannot be a user's in such a file.

    "The user-id and password MUST NOT contain any control characters", and a user-id no colon (RFC 7617, 2).
    """
    if not name:
        raise ValueError("a user has a name")
    if ":" in name:
        raise ValueError(f"{name!r} has a colon, which ends a name (RFC 7617, 2): leave it out")
    # Line and paragraph separators end a line, and what is no character at all cannot be written.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        raise ValueError(f"{name!r} has a control character (RFC 7617, 2): leave it out")
    if name != name.strip() or name.startswith("#"):
        raise ValueError(f"{name!r}: no name begins with a space or #, or ends with a space")
    if len(name.encode()) > NAME_BYTES:
        raise ValueError(f"a name has {NAME_BYTES} bytes at the most")


def names_in(text: str) -> list[str]:
    """Return the names that have a line in ``text``, in their order, each as often as it has one."""
    return [name for _, name in _lines(text) if name is not None]


def with_user(text: str, name: str, hashed: str) -> str:
    """Return ``text`` with the user ``name`` in it: in the place of their line, or behind all others."""
    line, end = f"{name}:{hashed}", "\r\n" if "\r\n" in text else "\n"
    if name in names_in(text):
        return "".join(f"{line}{_end_of(each)}" if found == name else each for each, found in _lines(text))
    before = text if not text or _end_of(text) else f"{text}{end}"
    return f"{before}{line}{end}"


def without_user(text: str, name: str) -> str:
    """Return ``text`` without the lines of the user ``name``."""
    return "".join(line for line, found in _lines(text) if found != name)


def _lines(text: str) -> Iterator[tuple[str, str | None]]:
    """Give each line with its end, and whose it is; None for comments and what is empty."""
    for line in text.splitlines(keepends=True):
        entry = line.strip()
        yield line, entry.partition(":")[0] if entry and not entry.startswith("#") else None


def _end_of(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
