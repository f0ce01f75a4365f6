"""Which of upstream's header fields come down.

Lists of what passes, not of what is taken out: a field nobody thought of stays where it was, and hop-by-hop fields
(RFC 9110, 7.6.1), cookies and credentials are never among them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from .links import next_target

__all__ = ["answer_headers", "next_page"]

# Content-Type is not among them, nor is Content-Range: types are ours to say, and ranges what we understood.
_DOWN = {
    "accept-ranges": "Accept-Ranges",
    "etag": "ETag",
    "last-modified": "Last-Modified",
    "oci-filters-applied": "OCI-Filters-Applied",
}
_DIGEST = "docker-content-digest"
# What these are made of (RFC 9110, 5.5); no validator or date is longer.
_VISIBLE = re.compile(r"[ -~]{1,256}")
# Of a next page's query: as many as are taken of one that a client asks for.
_QUERY_FIELDS = 16


def answer_headers(upstream: Mapping[str, str]) -> dict[str, str]:
    """Return what of an upstream answer's header (keys in lower case) the client gets to see."""
    passed = {name: upstream[key] for key, name in _DOWN.items() if _VISIBLE.fullmatch(upstream.get(key, ""))}
    return passed | _digest(upstream.get(_DIGEST))


def next_page(link: str, path: str, ns: str | None = None) -> str | None:
    """Return the ``Link`` for our client, given upstream's and the path that our client asked for.

    Upstream's target may be absolute or relative and names its own host and repository; only its query is kept, behind
    our own path, so that the link resolves to the host that the client knows (distribution specification, "Listing
    Tags"; RFC 8288). None where ``link`` has no next page.

    Arguments:
        ns: the namespace that our client asked by, which the next page is asked by, too.
    """
    target = next_target(link)
    if target is None:
        return None
    _, _, query = target.partition("#")[0].partition("?")
    try:
        asked = parse_qsl(query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS)
    except ValueError:
        return None
    pairs = [(key, value) for key, value in asked if key != "ns"]
    if ns is not None:
        pairs.append(("ns", ns))
    return f'<{path}?{urlencode(pairs, quote_via=quote, safe="")}>; rel="next"'


def _digest(text: str | None) -> dict[str, str]:
    """Return the field that names content, where it is a digest: clients take it for the name to ask by."""
    try:
        return {} if text is None else {"Docker-Content-Digest": str(Digest.parse(text))}
    except RegistryError:
        return {}
