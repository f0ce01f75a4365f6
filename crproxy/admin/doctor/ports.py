"""Do the configured ports answer, here and by the domain's name, and is it crproxy that does?"""

from __future__ import annotations

from collections.abc import Iterator

from ...config import Config
from .daemon import Daemon
from .dns import DnsResult
from .findings import Area, Finding, failed, fine, skipped
from .http_probe import ProbeResult

__all__ = ["check_ports"]


def check_ports(config: Config, daemon: Daemon, names: DnsResult) -> list[Finding]:
    """Return what answers."""
    return [*_here(config, daemon), *_by_name(config, daemon, names)]


def _here(config: Config, daemon: Daemon) -> Iterator[Finding]:
    for description, _ in config.client_endpoints:
        result = daemon.answers.get(description)
        if result is None:
            yield skipped(Area.PORTS, description, "where that is cannot be told from here")
        elif not result.connected and not daemon.runs:
            yield skipped(Area.PORTS, description, "crproxy is not running")
        elif not result.connected:
            yield failed(
                Area.PORTS,
                description,
                f"nothing listens there, though crproxy runs: {result.why}",
                "Restart crproxy, which listens where its configuration said when it started, and see its log",
            )
        else:
            yield _answered(description, result, "Let crproxy have this port, or choose another one")


def _by_name(config: Config, daemon: Daemon, names: DnsResult) -> Iterator[Finding]:
    domain = config.names.domain
    if domain is None:
        return
    scheme, port = config.reached_at
    if not names.answers:
        yield skipped(Area.PORTS, f"{scheme}://{domain}", "its name cannot be resolved")
    for address, result in names.answers.items():
        subject = f"{domain} at {address} port {port}"
        if not daemon.runs:
            yield skipped(Area.PORTS, subject, "crproxy is not running")
        elif not result.connected:
            yield failed(
                Area.PORTS,
                subject,
                f"cannot be connected to: {result.why}",
                f"Open port {port} in the firewall, and let crproxy listen there (https under [listen])",
            )
        else:
            yield _answered(subject, result, f"Let port {port} of {address} lead to crproxy, whole Host and path")


def _answered(subject: str, result: ProbeResult, advice: str) -> Finding:
    if result.status is None:
        return failed(Area.PORTS, subject, f"is connected to, but answers nothing: {result.why}", advice)
    if not result.is_crproxy:
        return failed(Area.PORTS, subject, f"{result.who} answers there ({result.status}), not crproxy", advice)
    return fine(Area.PORTS, subject, f"{result.server} answers {result.status} in {result.seconds:.2f} s")
