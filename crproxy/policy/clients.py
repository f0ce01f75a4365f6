"""Who a client is: behind proxies that are trusted, and as the one that limits are counted for.

Knows addresses alone; where they come from, a socket, a PROXY header or X-Forwarded-For, is somebody else's matter.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Network", "client_of", "is_in", "is_trusted", "network_of"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# A provider gives its customers at least this much of IPv6 (RFC 6177, 2; BCP 157), and hosts in it choose addresses
# freely (RFC 8981): whoever was counted by address would be counted never.
_IPV6_CLIENT = 64

# Some balancers write a port behind the address, as a socket is written: 192.0.2.1:50000, [2001:db8::1]:50000.
_WRITTEN = re.compile(r"\[(?P<v6>[^\[\]]+)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}|(?P<bare>[^\[\]]+)")


def client_of(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str | None:
    """Return the IP address of the client that a request comes from; None where that is not known.

    X-Forwarded-For counts only from a trusted proxy, and of it only what trusted proxies wrote: each appends the
    address that it was spoken to from, so it is read from the right, up to the first that is not trusted. An entry that
    is no address ends that at the last good one, and where all are trusted the first of them is the client.

    Arguments:
        peer: the address at the other end of the connection. None is a socket of this machine: whoever may write to it
            is trusted as the proxies are, if there are any.
        forwarded: the lines of X-Forwarded-For.
        trusted: the networks of proxies.
    """
    client = _parse(peer) if peer is not None else None
    if not trusted or (peer is not None and not _is_among(client, trusted)):
        return peer if client is None else str(client)
    for entry in _from_the_right(forwarded):
        hop = _parse_written(entry)
        if hop is None:
            break
        client = hop
        if not _is_among(hop, trusted):
            break
    return None if client is None else str(client)


def network_of(address: str) -> str:
    """Return the network that counts as one client: of IPv4 the address itself, of IPv6 its /64.

    What is no address counts as it is.
    """
    parsed = _parse(address)
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.IPv6Network((int(parsed) >> _IPV6_CLIENT << _IPV6_CLIENT, _IPV6_CLIENT)))


def is_in(address: str | None, networks: Iterable[Network]) -> bool:
    """Tell whether an IP address, where it is known, is in one of ``networks``."""
    return address is not None and _is_among(_parse(address), networks)


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Tell whether what the other end of a connection says of others counts: it is a trusted proxy.

    Arguments:
        peer: its address; None is a socket of this machine, which is trusted as the proxies are, if there are any.
        trusted: the networks of proxies.
    """
    return bool(trusted) and (peer is None or is_in(peer, trusted))


def _is_among(address: _Address | None, networks: Iterable[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _from_the_right(lines: Sequence[str]) -> Iterator[str]:
    """Give the entries, the last first. Lines of one name are one list, and empty elements do not count.

    RFC 9110, 5.3 and 5.6.1.2.
    """
    for entry in reversed(",".join(lines).split(",")):
        if stripped := entry.strip(" \t"):
            yield stripped


def _parse_written(entry: str) -> _Address | None:
    match = _WRITTEN.fullmatch(entry)
    return None if match is None else _parse(match["v6"] or match["v4"] or match["bare"])


# Clients ask more than once.
@functools.lru_cache(1024)
def _parse(text: str) -> _Address | None:
    """Return the address: IPv4 that is written inside of IPv6 as IPv4, link-local addresses without their zone."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped
