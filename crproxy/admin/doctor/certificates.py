"""What certificate does each name show, and do clients take it?"""

from __future__ import annotations

import datetime

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from ...config import Config
from ...policy.endpoints import parse_endpoint
from .daemon import Daemon
from .dns import DnsResult
from .environment import SECONDS, ProbeEnvironment
from .findings import Area, Finding, failed, fine, skipped, warning
from .http_probe import ProbeResult, client_endpoint, host_and_port, probe
from .tls_probe import ShownCertificate

__all__ = ["check_certificates", "judge"]

# Whoever renews at the last third of 90 days has done so long before.
_SOON = 10 * 86400.0


async def check_certificates(
    config: Config, daemon: Daemon, names: DnsResult, environment: ProbeEnvironment
) -> list[Finding]:
    """Return how it stands with every name."""
    if config.names.domain is None or config.reached_at[0] != "https":
        return [skipped(Area.CERTIFICATES, "TLS", "there is none without a domain")]
    if not daemon.runs:
        return [skipped(Area.CERTIFICATES, "every name", "crproxy is not running")]
    return [await _check(name, config, daemon, names, environment) for name in config.names.hosts]


async def _check(name: str, config: Config, daemon: Daemon, names: DnsResult, environment: ProbeEnvironment) -> Finding:
    endpoint, port = _endpoint(name, config, daemon, names, environment)
    if endpoint is None:
        return skipped(Area.CERTIFICATES, name, "nothing can be connected to: see the ports above")
    result = await probe(environment.reactor, endpoint, f"https://{host_and_port(name, port, 'https')}/v2/")
    if result.shown is None:
        return _unseen(name, result)
    return judge(Area.CERTIFICATES, name, result.shown, environment.now(), kept_by_hand=config.certs is not None)


def _endpoint(
    name: str, config: Config, daemon: Daemon, names: DnsResult, environment: ProbeEnvironment
) -> tuple[IStreamClientEndpoint | None, int]:
    """Return where ``name`` is looked at: here, since not every network lets one out and in again, else by its name."""
    _, port = config.reached_at
    for description in config.listen.https:
        known = daemon.answers.get(description)
        if known is not None and known.connected:
            return client_endpoint(parse_endpoint(description), environment.reactor), port
    for address in sorted(names.addresses.get(name, frozenset())):
        if not config.listen.https:
            return HostnameEndpoint(environment.reactor, address, port, timeout=SECONDS), port
    return None, port


def _unseen(name: str, result: ProbeResult) -> Finding:
    if not result.connected:
        return skipped(Area.CERTIFICATES, name, f"nothing can be connected to: {result.why}")
    return failed(
        Area.CERTIFICATES,
        name,
        f"no certificate is shown for it: {result.why}",
        "Reload crproxy, if the name is new in its configuration",
    )


def judge(area: Area, subject: str, shown: ShownCertificate, now: float, *, kept_by_hand: bool = False) -> Finding:
    """Return whether clients take a certificate.

    Arguments:
        subject: whose it is.
        now: seconds since the epoch.
        kept_by_hand: the operator keeps it, whose clients may trust an authority that this machine does not know.
    """
    if shown.is_self_signed:
        return failed(
            area,
            subject,
            "its certificate is signed by itself, which clients refuse",
            "No CA has issued one yet: see the CA here, and crproxy's log; or keep one where certs says",
        )
    if not shown.is_for_the_name:
        return failed(
            area,
            subject,
            f"its certificate is for other names: {shown.names}",
            "Get one for this name; in the directory that certs names, one that has it wins",
        )
    return _in_time(area, subject, shown, now) or _vouched(area, subject, shown, now, kept_by_hand)


def _in_time(area: Area, subject: str, shown: ShownCertificate, now: float) -> Finding | None:
    if now > shown.ends:
        return failed(
            area,
            subject,
            f"its certificate ended on {_day(shown.ends)}",
            "Renew it: see crproxy's log for why the CA issues none, or replace the file in the directory that certs "
            "names. If it has not ended, this machine's clock is wrong",
        )
    if now < shown.begins:
        return failed(
            area,
            subject,
            f"its certificate begins on {_day(shown.begins)} only",
            "Set this machine's clock: timedatectl",
        )
    return None


def _vouched(area: Area, subject: str, shown: ShownCertificate, now: float, kept_by_hand: bool) -> Finding:
    if not shown.is_trusted:
        text = f"its certificate is by {shown.issuer}, whom this machine does not trust"
        if kept_by_hand:
            return warning(
                area, subject, text, "Install that authority's certificate on every client, or use a public CA"
            )
        return failed(area, subject, text, "Use a CA that clients trust: a staging one's certificates are refused")
    if shown.ends - now < _SOON:
        days = int((shown.ends - now) // 86400)
        return warning(
            area,
            subject,
            f"its certificate ends in {days} days, on {_day(shown.ends)}",
            "It should have been renewed before: see crproxy's log, or replace its file where certs says",
        )
    return fine(area, subject, f"good until {_day(shown.ends)}, by {shown.issuer}")


def _day(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
