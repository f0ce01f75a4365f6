"""Forms that change something: whether one was sent from our own page, by the one who was shown it.

Pure. A browser sends credentials with whatever it sends, also where another site's page had it do so (cross-site
request forgery). So a form holds a token that only the page knows, bound to who logged in there.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

__all__ = ["form_token", "is_form_token", "is_from_here"]

# Of those that Fetch Metadata names: nothing but a page of ours, or somebody who typed an address.
_OUR_SITES = frozenset({"same-origin", "none"})


def form_token(key: bytes, user: str | None, password: bytes = b"") -> str:
    """Return the token of the forms that ``user`` is shown.

    Arguments:
        key: what only the daemon knows.
        user: who has logged in; None where nobody has to.
        password: as bcrypt hashed it: with another one the token is another one, too.
    """
    whose = b"-" if user is None else b"+" + user.encode()
    return hmac.new(key, b"form token\0" + whose + b"\0" + password, hashlib.sha256).hexdigest()


def is_form_token(given: str, expected: str) -> bool:
    """Tell whether a form's token is the right one, in a time that says nothing of how much of it is."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def is_from_here(host: str, origin: str | None, site: str | None) -> bool:
    """Tell whether a request was made by a page of this host, as far as its header says.

    A client that is no browser sends neither field.

    Arguments:
        host: its Host.
        origin: its Origin (RFC 6454, 7).
        site: its Sec-Fetch-Site (W3C, "Fetch Metadata Request Headers").
    """
    if site is not None and site not in _OUR_SITES:
        return False
    if origin is None:
        return True
    try:
        named = urlsplit(origin)
    except ValueError:
        return False
    return named.scheme in ("http", "https") and bool(host) and named.netloc.lower() == host.lower()
