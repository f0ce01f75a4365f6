"""What a registry is asked, as far as its answer depends on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

__all__ = ["Asked"]

# Of the repository, which says in whose name it lies: "n17/app".
_REPOSITORY = re.compile(r"([a-z])([0-9]{1,9})/app")
_PATH = re.compile(r"/(?:v2|elsewhere)/[a-z][0-9]+/app/(manifests|blobs|tags|referrers)/([^?]*)")
_RANGE = re.compile(rb"\r\nrange: *bytes=([0-9]{1,18})-([0-9]{0,18})\r", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Arguments:
        method: GET or HEAD.
        target: path and query.
        kind: ``manifests``, ``blobs``, ``tags``, ``referrers``, ``token``, or ``other``.
        letter, number: of the repository; none is "" and 0.
        reference: a tag or a digest.
        range: the first byte, and the last where one is named.
        authorized: it has an Authorization.
        host: the authority it was sent to.
    """

    method: str
    target: str
    kind: str
    letter: str
    number: int
    reference: str
    range: tuple[int, int | None] | None
    authorized: bool
    host: str

    @classmethod
    def parse(cls, header: bytes) -> Asked:
        """Return what a request asks whose line and fields these are, with their last CRLF. Raises ValueError."""
        method, target, _ = header.partition(b"\r\n")[0].decode("latin-1").split(" ")
        unquoted = unquote(target)
        repository = _REPOSITORY.search(unquoted)
        path = _PATH.match(unquoted)
        kind, reference = (path[1], path[2]) if path else ("token" if "/token" in target else "other", "")
        wanted = _RANGE.search(header)
        return cls(
            method,
            target,
            kind,
            repository[1] if repository else "",
            int(repository[2]) if repository else 0,
            reference,
            (int(wanted[1]), int(wanted[2]) if wanted[2] else None) if wanted else None,
            b"\r\nauthorization:" in header.lower(),
            _host(header),
        )


def _host(header: bytes) -> str:
    found = re.search(rb"\r\nhost: *([^\r]*)\r", header, re.IGNORECASE)
    return found[1].decode("latin-1") if found else ""
