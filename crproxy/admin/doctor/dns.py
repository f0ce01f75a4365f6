"""Do the domain and every alias lead to one place, and is that this machine?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint

from ...config import Config
from .daemon import Daemon
from .environment import CONNECT_SECONDS, ProbeEnvironment
from .findings import Area, Finding, Told, failed, fine, skipped, warning
from .http_probe import ProbeResult, host_and_port, probe

__all__ = ["DnsResult", "check_dns", "resolve_names"]

_UNKNOWN = "cannot be resolved"


@dataclass(frozen=True, slots=True)
class DnsResult:
    """How clients come here: by DNS.

    Arguments:
        addresses: of each name.
        answers: what answers, as the domain, at each of the domain's addresses.
    """

    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    answers: Mapping[str, ProbeResult] = field(default_factory=dict)


async def resolve_names(config: Config, environment: ProbeEnvironment) -> DnsResult:
    """Look all names up, and probe where the domain leads to."""
    domain = config.names.domain
    if domain is None:
        return DnsResult()
    hosts = config.names.hosts
    lookups = [Deferred.fromCoroutine(_look_up(name, environment)) for name in hosts]
    addresses = dict(zip(hosts, await gatherResults(lookups), strict=True))
    scheme, port = config.reached_at
    url = f"{scheme}://{host_and_port(domain, port, scheme)}/v2/"
    answers = {}
    for address in sorted(addresses[domain]):
        endpoint = HostnameEndpoint(environment.reactor, address, port, timeout=CONNECT_SECONDS)
        answers[address] = await probe(environment.reactor, endpoint, url)
    return DnsResult(addresses, answers)


async def _look_up(name: str, environment: ProbeEnvironment) -> frozenset[str]:
    return await environment.resolve(name)


def check_dns(config: Config, daemon: Daemon, names: DnsResult, environment: ProbeEnvironment) -> list[Finding]:
    """Return whether names lead here.

    An address that is none of this machine's may be a router's or a balancer's, which passes on: what answers there
    tells.
    """
    domain = config.names.domain
    if domain is None:
        return [skipped(Area.DNS, "domain", "there is none: clients use an address of this machine")]
    return [_domain(domain, daemon, names, environment), *_aliases(config, domain, names, environment)]


def _domain(domain: str, daemon: Daemon, names: DnsResult, environment: ProbeEnvironment) -> Finding:
    addresses = names.addresses[domain]
    if not addresses:
        advice = f"Give {domain} an A or AAAA record that leads to this machine"
        return failed(Area.DNS, domain, _UNKNOWN, advice, common=_all_unknown(domain))
    elsewhere = sorted(address for address in addresses if not environment.is_here(address))
    if not elsewhere:
        return fine(Area.DNS, domain, f"leads to {_listed(addresses)}, which is this machine")
    astray = [address for address in elsewhere if not names.answers[address].is_crproxy]
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
        f"{names.answers[astray[0]].why or names.answers[astray[0]].who}",
        f"Let the A or AAAA record of {domain} lead to this machine. If a router passes on from there: not every "
        "network lets its own machines take that way; look from outside",
    )


def _aliases(config: Config, domain: str, names: DnsResult, environment: ProbeEnvironment) -> Iterator[Finding]:
    right: list[str] = []
    for name in sorted(config.names.aliases):
        addresses = names.addresses[name]
        if not addresses:
            yield _unknown_alias(name, domain, names)
        elif addresses <= names.addresses[domain] or all(map(environment.is_here, addresses)):
            right.append(name)
        else:
            yield _astray(name, domain, names)
    if right:
        yield fine(Area.DNS, ", ".join(right), "lead there, too" if len(right) > 1 else "leads there, too")


def _unknown_alias(name: str, domain: str, names: DnsResult) -> Finding:
    common = Told(_UNKNOWN, f"Give them records, or *.{domain} one for all of them")
    if not names.addresses[domain]:
        common = _all_unknown(domain)
    advice = f"Give it a record, or *.{domain} one for all of them"
    return failed(Area.DNS, name, _UNKNOWN, advice, common=common)


def _all_unknown(domain: str) -> Told:
    """Return what is said where neither the domain nor an alias can be resolved."""
    return Told(
        _UNKNOWN,
        f"Give {domain} and *.{domain} A or AAAA records that lead to this machine. If they have them: see whether "
        "this machine's DNS server answers (/etc/resolv.conf)",
    )


def _astray(name: str, domain: str, names: DnsResult) -> Finding:
    addresses, there = _listed(names.addresses[name]), _listed(names.addresses[domain]) or "nowhere"
    return failed(
        Area.DNS,
        name,
        f"leads to {addresses}, the domain to {there}",
        f"Let it lead to where {domain} leads: correct its record, or remove it where *.{domain} has one",
        common=Told(
            f"lead to {addresses}, the domain to {there}",
            f"Let them lead to where {domain} leads: correct their records, or remove them where *.{domain} has one",
        ),
    )


def _listed(addresses: frozenset[str] | list[str]) -> str:
    return ", ".join(sorted(addresses))
