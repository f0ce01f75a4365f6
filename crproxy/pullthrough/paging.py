"""Lists that come in pages, for this proxy's own use."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from .reply import Reply

__all__ = ["next_query"]


def next_query(reply: Reply) -> dict[str, str]:
    """Return the query of a list's next page; an empty one where there is none."""
    target, _, _ = reply.headers.get("Link", "").removeprefix("<").partition(">")
    return dict(parse_qsl(urlsplit(target).query))
