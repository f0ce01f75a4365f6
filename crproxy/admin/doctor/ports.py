"""Do the configured ports answer, here and by the domain's name, and is it crproxy that does?"""

from __future__ import annotations

from collections.abc import Iterator

from ...config import Config
from ...policy.endpoints import parse_endpoint
from .daemon import Daemon
from .dns import DnsResult
from .environment import ProbeEnvironment
from .findings import Area, Finding, failed, fine, skipped
from .holders import Holder
from .http_probe import ProbeResult

__all__ = ["check_ports", "taken"]


def check_ports(config: Config, daemon: Daemon, names: DnsResult, environment: ProbeEnvironment) -> list[Finding]:
    """Return what answers."""
    return [*_here(config, daemon, environment), *_by_name(config, daemon, names, environment)]


def taken(description: str, holder: Holder | None, seen: str = "") -> Finding:
    """Return that another program has a port.

    Arguments:
        description: where crproxy is to listen.
        holder: who has it; None where that cannot be told.
        seen: what was seen of it.
    """
    more = f": {seen}" if seen else ""
    if holder is None:
        return failed(
            Area.PORTS,
            description,
            f"another program has this port, not crproxy{more}",
            "Find out which (sudo ss -ltnp), and stop it; or choose another port where this is configured",
        )
    return failed(
        Area.PORTS,
        description,
        f"{holder} has this port, not crproxy{more}",
        f"Stop it (systemctl status {holder.pid} tells its service), or choose another port where this is configured",
    )


def _here(config: Config, daemon: Daemon, environment: ProbeEnvironment) -> Iterator[Finding]:
    for description, scheme in config.client_endpoints:
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
            yield _answered_here(description, scheme, result, environment)


def _answered_here(description: str, scheme: str, result: ProbeResult, environment: ProbeEnvironment) -> Finding:
    if result.is_crproxy and not result.in_the_clear:
        return _well(description, result)
    holder = environment.holder(parse_endpoint(description))
    if holder is not None and holder.is_crproxy:
        what = f"{holder}, which is a crproxy, has this port: {_seen(result)}"
        advice = f"See its log; if it is another one than this configuration is for, one of them needs another {scheme}"
        return failed(Area.PORTS, description, what, advice)
    return taken(description, holder, _seen(result))


def _by_name(config: Config, daemon: Daemon, names: DnsResult, environment: ProbeEnvironment) -> Iterator[Finding]:
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
        elif not result.is_crproxy and not environment.is_here(address):
            yield skipped(Area.PORTS, subject, "it is not this machine: see the dns of the domain")
        elif not result.connected:
            yield failed(
                Area.PORTS,
                subject,
                f"cannot be connected to: {result.why}",
                f"Open port {port} in the firewall, and let crproxy listen there (https under [listen])",
            )
        elif result.is_crproxy and not result.in_the_clear:
            yield _well(subject, result)
        else:
            advice = f"Let port {port} of {address} lead to crproxy, whole Host and path"
            yield failed(Area.PORTS, subject, f"something else answers there, not crproxy: {_seen(result)}", advice)


def _well(subject: str, result: ProbeResult) -> Finding:
    return fine(Area.PORTS, subject, f"{result.server} answers {result.status} in {result.seconds:.2f} s")


def _seen(result: ProbeResult) -> str:
    """Say how it answers."""
    if result.in_the_clear:
        return f"no TLS is spoken there, but plain HTTP, by {result.who}"
    if result.status is None:
        return f"it answers nothing that can be read ({result.why})"
    return f"{result.who} answers {result.status}"
