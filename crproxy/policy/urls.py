"""URLs that an upstream sends us to: redirects and token services. Are they ones that can be asked, and of what origin?

Stricter than RFC 3986, so that no two readers of one URL can take it for different hosts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["DEFAULT_PORTS", "Origin", "origin_of"]

# What a request line can carry: no space, no control character, nothing but ASCII.
_PLAIN = re.compile(r"[\x21-\x7e]+")
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port (RFC 6454, 4)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return it as a URL without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def origin_of(url: str) -> Origin | None:
    """Return the origin of ``url``; None where it is no absolute http or https URL with nothing but a host and port."""
    if not _PLAIN.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not host or not _AUTHORITY.fullmatch(parts.netloc) or port == 0:
        return None
    return Origin(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme])
