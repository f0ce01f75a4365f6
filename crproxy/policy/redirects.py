"""Whether a redirect is followed, and whether our Authorization goes with it.

RFC 9110, 15.4. The rules are stricter than a browser's: see CVE-2020-15157 for what a kept header costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

__all__ = ["REDIRECT_LIMIT", "REDIRECT_STATUSES", "Redirect", "RefusedRedirect", "follow"]

REDIRECT_LIMIT = 5
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

_DEFAULT_PORTS = {"https": 443, "http": 80}


class RefusedRedirect(Exception):
    """A redirect that is not followed; the text says why, without the URL's query, which may be a signature."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where to ask next.

    Arguments:
        url: absolute, its query byte for byte as upstream wrote it (it may be signed).
        same_origin: scheme, host and port stay, so Authorization may stay too.
    """

    url: str
    same_origin: bool


def follow(url: str, location: str | None, *, followed: int, allow_http: bool = False) -> Redirect:
    """Return where the answer of ``url`` with this ``Location`` leads.

    Arguments:
        followed: how many redirects this request has followed already.
        allow_http: the registry's own endpoint is http, written so in the configuration.

    Raises:
        RefusedRedirect: too many, nowhere, or to what must not be asked.
    """
    if followed >= REDIRECT_LIMIT:
        raise RefusedRedirect(f"it redirects more than {REDIRECT_LIMIT} times")
    if not location:
        raise RefusedRedirect("it redirects without saying where")
    try:
        target = urljoin(url, location).partition("#")[0]
        origin = _origin(target)
    except ValueError:
        raise RefusedRedirect("it redirects to something that is no URL") from None
    scheme, host, _ = origin
    if scheme != "https" and not (scheme == "http" and allow_http and urlsplit(url).scheme == "http"):
        raise RefusedRedirect(f"it redirects to {scheme or 'no scheme'}://{host}, which is not https")
    if not host or "@" in urlsplit(target).netloc:
        raise RefusedRedirect("it redirects to a URL without a host, or with a user in front of it")
    return Redirect(target, origin == _origin(url))


def _origin(url: str) -> tuple[str, str, int | None]:
    """RFC 6454, 4: scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
