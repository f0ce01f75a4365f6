"""Which of upstream's header fields come down.

Lists of what passes, not of what is taken out: a field nobody thought of stays where it was, and hop-by-hop fields
(RFC 9110, 7.6.1), cookies and credentials are never among them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

__all__ = ["answer_headers", "next_page"]

_DOWN = {
    "accept-ranges": "Accept-Ranges",
    "content-range": "Content-Range",
    "content-type": "Content-Type",
    "docker-content-digest": "Docker-Content-Digest",
    "etag": "ETag",
    "last-modified": "Last-Modified",
    "oci-filters-applied": "OCI-Filters-Applied",
}

# What a URI may hold (RFC 3986, 2) and nothing that could end the <...> of a Link. Names of parameters and relation
# types are compared without case, and rel may hold several (RFC 8288, 3 and 3.3).
_NEXT = re.compile(
    r'<([^<>"\s]*)>\s*;(?:[^,]*;)?\s*rel=(?:next|"(?:[^",]*\s)?next(?:\s[^",]*)?")\s*(?:[;,]|$)', re.IGNORECASE
)


def answer_headers(upstream: Mapping[str, str]) -> dict[str, str]:
    """Return what of an upstream answer's header (keys in lower case) the client gets to see."""
    return {name: upstream[key] for key, name in _DOWN.items() if key in upstream}


def next_page(link: str, path: str, ns: str | None = None) -> str | None:
    """Return the ``Link`` for our client, given upstream's and the path that our client asked for.

    Upstream's target may be absolute or relative and names its own host and repository; only its query is kept, behind
    our own path, so that the link resolves to the host that the client knows (distribution specification, "Listing
    Tags"; RFC 8288). None where ``link`` has no next page.

    Arguments:
        ns: the namespace that our client asked by, which the next page is asked by, too.
    """
    match = _NEXT.search(link)
    if match is None:
        return None
    _, _, query = match[1].partition("#")[0].partition("?")
    pairs = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True) if key != "ns"]
    if ns is not None:
        pairs.append(("ns", ns))
    return f'<{path}?{urlencode(pairs, quote_via=quote, safe="")}>; rel="next"'
