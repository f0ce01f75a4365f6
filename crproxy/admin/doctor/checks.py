"""All checks in order, each after what it depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from ...config import Config, Upstream
from ...oci.names import Registry
from .access import check_access
from .authority import check_authority
from .certificates import check_certificates
from .clock import check_clock
from .configuration import Reading
from .daemon import find_daemon
from .disk import check_disk
from .dns import check_dns, resolve_names
from .environment import ProbeEnvironment
from .findings import Area, Finding, Outcome, settled, worst
from .identity import find_user
from .loaded_check import check_loaded
from .nodes_check import check_fleet
from .permissions import check_permissions
from .ports import check_ports
from .proxy_check import check_proxy
from .readable import check_readable
from .registry_check import check_registry
from .store_check import check_store
from .upstreams import RegistryCheck, Tools, chosen

__all__ = ["Report", "run_checks"]

# Registries that are asked at the same time.
_AT_ONCE = 8

Report = Callable[[Iterable[Finding]], None]


async def run_checks(
    config: Config, reading: Reading, named: Iterable[Registry], environment: ProbeEnvironment, report: Report
) -> None:
    """Look at everything, and ``report`` what was found as soon as it is.

    Arguments:
        reading: what the configuration was read from.
        named: the registries to look at, in place of those that the configuration knows.
    """
    daemon = await find_daemon(config, environment)
    report(check_permissions(config, daemon, environment))
    readable = check_readable(reading.files, find_user(config) if os.geteuid() == 0 else None)
    report(readable)
    report(check_disk(config))
    report([daemon.finding])
    report(await check_loaded(config, reading, [one.subject for one in readable], daemon, environment))
    names = await resolve_names(config, environment)
    report(check_dns(config, daemon, names, environment))
    report(check_ports(config, daemon, names, environment))
    fleet = await check_fleet(config, daemon, environment)
    authority, seen = await check_authority(config, environment)
    registries = await _check_registries(config, named, environment)
    clock = check_clock([seen, fleet.reading, *(checked.reading for checked in registries)])
    report(clock)
    # What is judged by the time says nothing where that is wrong.
    broken = frozenset({Area.CLOCK}) if worst(clock) is Outcome.FAILED else frozenset()
    report(settled(await check_certificates(config, daemon, names, environment), broken))
    report(settled(authority, broken))
    report(check_proxy(config, daemon, environment))
    report(fleet.findings)
    report(await check_store(config, environment))
    report(settled((finding for checked in registries for finding in checked.findings), broken))
    report(check_access(config))


async def _check_registries(
    config: Config, named: Iterable[Registry], environment: ProbeEnvironment
) -> list[RegistryCheck]:
    tools, limit = Tools.of(config, environment), DeferredSemaphore(_AT_ONCE)

    def begin(endpoint: Upstream, is_one_of_several: bool) -> Deferred[RegistryCheck]:
        return limit.run(
            lambda: Deferred.fromCoroutine(check_registry(endpoint, tools, is_one_of_several=is_one_of_several))
        )

    return await gatherResults(
        [
            begin(endpoint, len(upstream.endpoints) > 1)
            for upstream in map(config.upstream, chosen(config, named))
            for endpoint in upstream.endpoints
        ]
    )
