"""Contents of a test's own making, put into a real registry as clients push."""

from __future__ import annotations

import urllib.request

from .images import sha256

__all__ = ["push_blob", "push_manifest"]


def push_blob(repository: str, content: bytes) -> None:
    """Push a blob in one piece (distribution specification, "Pushing a blob monolithically").

    Arguments:
        repository: its URL, which ends in its name.
    """
    with urllib.request.urlopen(urllib.request.Request(f"{repository}/blobs/uploads/", method="POST")) as begun:
        where = begun.headers["Location"]
    joint = "&" if "?" in where else "?"
    _put(f"{where}{joint}digest={sha256(content)}", content, "application/octet-stream")


def push_manifest(repository: str, reference: str, content: bytes, media_type: str) -> None:
    """Push a manifest by its tag or digest."""
    _put(f"{repository}/manifests/{reference}", content, media_type)


def _put(url: str, content: bytes, media_type: str) -> None:
    request = urllib.request.Request(url, content, {"Content-Type": media_type}, method="PUT")
    with urllib.request.urlopen(request):
        pass
