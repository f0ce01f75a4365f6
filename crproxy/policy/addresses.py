"""May this IP address be connected to for an upstream that only its name is known of?

Only what is reachable from the whole internet: everything else is somebody's inside (SSRF).
"""

from __future__ import annotations

import ipaddress

__all__ = ["is_address", "is_public"]

# Ways to write an IPv4 address inside an IPv6 one: NAT64 (RFC 6052, 2.1; RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380),
# IPv4-compatible (RFC 4291, 2.5.5.1) and site-local (RFC 3879), which ipaddress counts as reachable.
_INDIRECT = tuple(
    ipaddress.ip_network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10")
)


def is_address(host: str) -> bool:
    """Tell whether a URL's host is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Tell whether ``address``, an IP address in its usual notation, is one of the public internet's."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if any(ip in network for network in _INDIRECT):
            return False
    # Unassigned IPv6 counts as reachable, too: ::ffff:0:a.b.c.d (RFC 2765, 2.1) would be one more way to write IPv4.
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
