"""May a host be asked of which nothing but its name is known: one that a client, a redirect or a challenge names?

Decided from the URL alone, before any name is looked up. What the name leads to is another question (addresses.py).
"""

from __future__ import annotations

from collections.abc import Collection

from ..oci.names import canonical_host
from .addresses import is_address
from .urls import DEFAULT_PORTS, Origin, origin_of

__all__ = ["may_be_asked", "may_be_sent_to", "refused_host", "refused_port"]

# Names that mean something else in every network (RFC 6761; RFC 6762, 3 and appendix G; RFC 8375; RFC 7686; ICANN's
# board on .internal, 2024). Cloud machines' metadata is at metadata.google.internal.
_INSIDE = frozenset(
    {
        "corp",
        "home",
        "home.arpa",
        "internal",
        "intranet",
        "lan",
        "local",
        "localdomain",
        "localhost",
        "onion",
        "private",
    }
)


def refused_host(host: str) -> str | None:
    """Return why ``host``, in lower case and without brackets, must not be asked; None where it may.

    Addresses are refused, public ones, too: no registry of the internet is known by one. So are all the other ways to
    write one that the system's resolver takes for it, such as 127.1 or 0x7f000001.
    """
    if is_address(host):
        return f"it leads to {host}, an address where only names are asked"
    if canonical_host(host) != host:
        return f"it leads to {host!r}, which is no host's name"
    labels = host.split(".")
    if len(labels) == 1 or labels[-1] in _INSIDE or ".".join(labels[-2:]) in _INSIDE:
        return f"it leads to {host}, a name that each network has of its own"
    return None


def may_be_asked(url: str, private_hosts: Collection[str], *, named: bool) -> bool:
    """Tell whether a registry's endpoint may be asked, as far as its URL tells.

    Arguments:
        private_hosts: those that may have addresses which are not public.
        named: the configuration, or the built-in table, names the registry: then it may have a port of its own.
    """
    origin = origin_of(url)
    if origin is None:
        return False
    return origin.host in private_hosts or (
        refused_host(origin.host) is None and (named or refused_port(origin) is None)
    )


def may_be_sent_to(url: str, private_hosts: Collection[str]) -> bool:
    """Tell whether a client may be redirected to ``url``, to which a registry redirects.

    Arguments:
        private_hosts: those that the configuration names.
    """
    origin = origin_of(url)
    if origin is None:
        return False
    return origin.host in private_hosts or (refused_host(origin.host) is None and refused_port(origin) is None)


def refused_port(origin: Origin) -> str | None:
    """Return why ``origin`` must not be asked at its port; None where that is its scheme's own."""
    if origin.port == DEFAULT_PORTS[origin.scheme]:
        return None
    return f"it leads to port {origin.port} of {origin.host}, and a port of its own must be named in the configuration"
