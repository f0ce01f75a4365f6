"""May this IP address be connected to for an upstream that only its name is known of?

Only what is reachable from the whole internet: everything else is somebody's inside (SSRF).
"""

from __future__ import annotations

import ipaddress

__all__ = ["is_address", "is_public"]

# Global unicast (RFC 4291, 2.4; IANA's registry of IPv6 addresses). Nothing else of IPv6 is the internet's:
# neither what NAT64 makes of IPv4 addresses (RFC 6052, RFC 8215) nor what was site-local (RFC 3879).
_UNICAST = ipaddress.ip_network("2000::/3")
# What ipaddress, depending on its age, counts as reachable and is not: IPv6's protocol assignments (RFC 2928), Teredo
# (RFC 4380) among them, and IPv4's (RFC 6890, 2.1); 6to4 (RFC 3056) and its relays (RFC 7526), which hold an IPv4
# address; documentation (RFC 9637); and what answers every machine of Azure, itself alone, with its credentials.
_OTHERS = tuple(
    ipaddress.ip_network(network)
    for network in ("2001::/23", "2002::/16", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
)


def is_address(host: str) -> bool:
    """Tell whether a URL's host is an IP address and not a name."""
    # Of each request and each handshake, and most are names.
    if ":" not in host and not host[-1:].isdigit():
        return False
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
        if ip not in _UNICAST:
            return False
    if any(ip.version == network.version and ip in network for network in _OTHERS):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
