"""What a request for a blob is answered with: the whole, a part, several, or the header alone."""

from __future__ import annotations

from collections.abc import Sequence

from ..oci.digests import Digest
from ..policy.parts import Chosen, Run
from ..policy.ranges import RangeNotSatisfiable, Slice
from .multipart import Multipart
from .reply import Body, Content, Reply, Unsent, named

__all__ = ["BLOB_TYPE", "blob_reply", "head_reply", "span_of", "unsatisfiable"]

_TYPE = "application/octet-stream"
BLOB_TYPE = {"Content-Type": _TYPE, "Accept-Ranges": "bytes"}


def span_of(run: Run) -> Slice:
    """Return all that one reads who reads the parts of a run, with what is between them."""
    return Slice(run[0].start, run[-1].stop, run[0].size)


def blob_reply(digest: Digest, chosen: Chosen, runs: Sequence[Run], bodies: Sequence[Body], cache_status: str) -> Reply:
    """Return the reply with what was chosen.

    Arguments:
        runs: its parts, those together that come in one body.
        bodies: of each run, its `span_of`.
    """
    headers = {**BLOB_TYPE, **named(digest, cache_status)}
    if chosen.is_whole:
        return Reply(200, headers, bodies[0])
    if len(chosen.parts) == 1:
        # Of a single range it must not be multipart; where one of several is left it may be either (15.3.7.2).
        return Reply(206, headers | {"Content-Range": chosen.parts[0].content_range}, bodies[0])
    body = Multipart(runs, bodies, _TYPE)
    return Reply(206, headers | {"Content-Type": body.content_type}, body)


def unsatisfiable(error: RangeNotSatisfiable) -> Reply:
    """Return the 416 that says how many bytes there are instead (RFC 9110, 15.5.17)."""
    return Reply(416, {"Content-Range": str(error)}, Content())


def head_reply(digest: Digest, size: int | None, cache_status: str) -> Reply:
    """Return the reply to a HEAD. A Range is for GET alone (RFC 9110, 14.2)."""
    return Reply(200, {**BLOB_TYPE, **named(digest, cache_status)}, Unsent(size))
