"""Do the domain and every alias lead to one place, and is that this machine?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint

from ...config import Config
from .daemon import Daemon
from .environment import SECONDS, Instruments
from .findings import Area, Finding, failed, fine, skipped, warning
from .http_probe import Knocked, authority_of, knock

__all__ = ["Way", "check_dns", "find_way"]


@dataclass(frozen=True, slots=True)
class Way:
    """How clients come here: by DNS.

    Arguments:
        addresses: of each name.
        doors: what answers, as the domain, at each of the domain's addresses.
    """

    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    doors: Mapping[str, Knocked] = field(default_factory=dict)


async def find_way(config: Config, instruments: Instruments) -> Way:
    """Look all names up, and knock where the domain leads to."""
    domain = config.names.domain
    if domain is None:
        return Way()
    hosts = config.names.hosts
    lookups = [Deferred.fromCoroutine(_look_up(name, instruments)) for name in hosts]
    addresses = dict(zip(hosts, await gatherResults(lookups), strict=True))
    scheme, port = config.reached_at
    url = f"{scheme}://{authority_of(domain, port, scheme)}/v2/"
    doors = {}
    for address in sorted(addresses[domain]):
        door = HostnameEndpoint(instruments.reactor, address, port, timeout=SECONDS)
        doors[address] = await knock(instruments.reactor, door, url)
    return Way(addresses, doors)


async def _look_up(name: str, instruments: Instruments) -> frozenset[str]:
    return await instruments.resolve(name)


def check_dns(config: Config, daemon: Daemon, way: Way, instruments: Instruments) -> list[Finding]:
    """Return whether names lead here.

    An address that is none of this machine's may be a router's or a balancer's, which passes on: what answers there
    tells.
    """
    domain = config.names.domain
    if domain is None:
        return [skipped(Area.DNS, "domain", "there is none: clients use an address of this machine")]
    return [_domain(domain, daemon, way, instruments), *_aliases(config, domain, way, instruments)]


def _domain(domain: str, daemon: Daemon, way: Way, instruments: Instruments) -> Finding:
    addresses = way.addresses[domain]
    if not addresses:
        return failed(
            Area.DNS, domain, "cannot be resolved", f"Give {domain} an A or AAAA record that leads to this machine"
        )
    elsewhere = sorted(address for address in addresses if not instruments.is_here(address))
    if not elsewhere:
        return fine(Area.DNS, domain, f"leads to {_listed(addresses)}, which is this machine")
    astray = [address for address in elsewhere if not way.doors[address].is_crproxy]
    said = f"leads to {_listed(elsewhere)}, no address of this machine"
    if not astray:
        return fine(Area.DNS, domain, f"{said}, but a crproxy answers there")
    if not daemon.runs:
        return warning(
            Area.DNS, domain, said, "Right if a router or a balancer there passes on to this machine, wrong otherwise"
        )
    return failed(
        Area.DNS,
        domain,
        f"leads to {_listed(astray)}, no address of this machine, and no crproxy answers there: "
        f"{way.doors[astray[0]].why or way.doors[astray[0]].who}",
        f"Let the A or AAAA record of {domain} lead to this machine. If a router passes on from there: not every "
        "network lets its own machines take that way; look from outside",
    )


def _aliases(config: Config, domain: str, way: Way, instruments: Instruments) -> Iterator[Finding]:
    right: list[str] = []
    for name in sorted(config.names.aliases):
        addresses = way.addresses[name]
        if not addresses:
            yield failed(Area.DNS, name, "cannot be resolved", f"Give it a record, or *.{domain} one for all of them")
        elif addresses <= way.addresses[domain] or all(map(instruments.is_here, addresses)):
            right.append(name)
        else:
            there = _listed(way.addresses[domain]) or "nowhere"
            yield failed(
                Area.DNS,
                name,
                f"leads to {_listed(addresses)}, the domain to {there}",
                f"Let it lead to where {domain} leads: correct its record, or remove it where *.{domain} has one",
            )
    if right:
        yield fine(Area.DNS, ", ".join(right), "lead there, too" if len(right) > 1 else "leads there, too")


def _listed(addresses: frozenset[str] | list[str]) -> str:
    return ", ".join(sorted(addresses))
