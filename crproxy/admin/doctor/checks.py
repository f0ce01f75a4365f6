"""One round past everything, each thing after what it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from ...config import Config
from ...oci.names import Registry
from .access import check_access
from .authority import check_authority
from .certificates import check_certificates
from .clock import Sighting, check_clock
from .daemon import find_daemon
from .disk import check_disk
from .dns import check_dns, find_way
from .environment import Instruments
from .findings import Finding
from .permissions import check_rights
from .ports import check_ports
from .registry_check import visit
from .upstreams import Tools, Visit, chosen

__all__ = ["Report", "make_round"]

# Registries that are asked at the same time.
_AT_ONCE = 8

Report = Callable[[Iterable[Finding]], None]


async def make_round(config: Config, named: Iterable[Registry], instruments: Instruments, report: Report) -> None:
    """Look at everything, and ``report`` what was found as soon as it is.

    Arguments:
        named: the registries to look at, in place of those that the configuration knows.
    """
    daemon = await find_daemon(config, instruments)
    report(check_rights(config, daemon))
    report(check_disk(config))
    report([daemon.finding])
    way = await find_way(config, instruments)
    report(check_dns(config, daemon, way, instruments))
    report(check_ports(config, daemon, way))
    report(await check_certificates(config, daemon, way, instruments))
    findings, seen = await check_authority(config, instruments)
    report(findings)
    sightings: list[Sighting | None] = [seen]
    for visited in await _visits(config, named, instruments):
        report(visited.findings)
        sightings.append(visited.sighting)
    report(check_clock(sightings))
    report(check_access(config))


async def _visits(config: Config, named: Iterable[Registry], instruments: Instruments) -> list[Visit]:
    tools, turns = Tools.of(config, instruments), DeferredSemaphore(_AT_ONCE)

    def begin(registry: Registry) -> Deferred[Visit]:
        return turns.run(lambda: Deferred.fromCoroutine(visit(config.upstream(registry), tools)))

    return await gatherResults([begin(registry) for registry in chosen(config, named)])
