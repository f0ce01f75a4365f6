"""Whether a redirect is followed, and whether our Authorization goes with it.

RFC 9110, 15.4. The rules are stricter than a browser's: see CVE-2020-15157 for what a kept header costs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urljoin

from .fields import FIELD_LIMIT
from .urls import origin_of

__all__ = ["REDIRECT_LIMIT", "REDIRECT_STATUSES", "Redirect", "RefusedRedirect", "UnsoundRedirect", "follow"]

REDIRECT_LIMIT = 5
# A space, and what is no ASCII, byte by byte. In a host they are refused all the same, and control characters anywhere.
_RAW = re.compile(r"[ \x80-\xff]")
# urllib leaves some of them out, so that the URL would be another than the one that was written.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})


class RefusedRedirect(Exception):
    """A redirect that is not followed; the text says why, without the URL's query, which may be a signature."""


class UnsoundRedirect(RefusedRedirect):
    """It leads to what must not be asked, however often one tries."""


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
        UnsoundRedirect: to what must not be asked.
        RefusedRedirect: too many, or nowhere.
    """
    if followed >= REDIRECT_LIMIT:
        raise RefusedRedirect(f"it redirects more than {REDIRECT_LIMIT} times")
    if not location:
        raise RefusedRedirect("it redirects without saying where")
    if len(location) > FIELD_LIMIT:
        raise RefusedRedirect("it redirects to an address that is too long")
    here, target = origin_of(url), _absolute(url, _escaped(location))
    origin = None if _CONTROL.search(location) else origin_of(target)
    if origin is None:
        raise UnsoundRedirect("it redirects to something that is no https URL")
    if origin.scheme == "http" and not (allow_http and here is not None and here.scheme == "http"):
        raise UnsoundRedirect(f"it redirects to http://{origin.host}, which is not https")
    return Redirect(target, origin == here)


def _escaped(location: str) -> str:
    """Return what a request line can carry: some write a file's name as it is. Browsers and curl do the same."""
    return _RAW.sub(lambda raw: f"%{ord(raw[0]):02X}", location)


def _absolute(url: str, location: str) -> str:
    try:
        return urljoin(url, location).partition("#")[0]
    except ValueError:
        return ""
