"""What certificate does each name show, and do clients take it?"""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from ...config import Config
from ...policy.endpoints import parse_endpoint
from .daemon import Daemon
from .dns import DnsResult
from .environment import CONNECT_SECONDS, ProbeEnvironment
from .findings import Area, Finding, Told, failed, fine, skipped, warning
from .http_probe import ProbeResult, client_endpoint, host_and_port, probe
from .tls_probe import ShownCertificate

__all__ = ["check_certificates", "judge", "kept_file"]

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
    shown = result.shown
    file = None if config.certs is None else kept_file(Path(config.certs), shown.certificate)
    return judge(Area.CERTIFICATES, name, shown, environment.now(), kept_by_hand=config.certs is not None, file=file)


def kept_file(directory: Path, certificate: x509.Certificate) -> Path | None:
    """Return the file in ``directory`` that a certificate comes from; None for none, or none that may be read."""
    try:
        files = sorted(directory.glob("*.pem"))
    except OSError:
        return None
    return next((file for file in files if certificate in _certificates(file)), None)


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return []


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
            return HostnameEndpoint(environment.reactor, address, port, timeout=CONNECT_SECONDS), port
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


def judge(
    area: Area,
    subject: str,
    shown: ShownCertificate,
    now: float,
    *,
    kept_by_hand: bool = False,
    file: Path | None = None,
) -> Finding:
    """Return whether clients take a certificate.

    Arguments:
        subject: whose it is.
        now: seconds since the epoch.
        kept_by_hand: the operator keeps some, whose clients may trust an authority that this machine does not know.
        file: where the operator keeps this one; None where it is another's, or crproxy's own.
    """
    found = _in_time(shown, now, file) or _by_itself(shown, file) or _for_others(shown) or _vouched(shown, kept_by_hand)
    if found is None:
        return _well(area, subject, shown, now)
    common = Told(found.text.replace("its certificate", "their certificate", 1), found.advice)
    return replace(found, area=area, subject=subject, common=common)


def _fault(text: str, advice: str, depends_on: Area | None = None) -> Finding:
    return failed(Area.CERTIFICATES, "", text, advice, depends_on=depends_on)


def _in_time(shown: ShownCertificate, now: float, file: Path | None) -> Finding | None:
    itself = ", signed by itself," if shown.is_self_signed else ""
    if now < shown.begins:
        text = f"its certificate{itself} begins on {_day(shown.begins)} only"
        advice = "Set this machine's clock, if it is wrong: timedatectl; otherwise wait, or use another certificate"
        return _fault(text, advice, Area.CLOCK)
    if now <= shown.ends:
        return None
    renew = "See crproxy's log for why the CA issues none"
    if file is not None:
        renew = f"Put a new one, with its key, into {file}: crproxy takes it within seconds"
        if shown.is_self_signed:
            renew += ". Who was given the old one to trust has to be given the new one; a CA's would spare you that"
    return _fault(
        f"its certificate{itself} ended on {_day(shown.ends)}",
        f"{renew}. If it has not ended, this machine's clock is wrong",
        Area.CLOCK,
    )


def _by_itself(shown: ShownCertificate, file: Path | None) -> Finding | None:
    if not shown.is_self_signed:
        return None
    if file is not None:
        return warning(
            Area.CERTIFICATES,
            "",
            f"its certificate ({file}) is signed by itself: clients refuse it unless they were given it",
            "Install it on every client (as ca.crt below certs.d, or in the system's trust store), or use a CA's",
        )
    return _fault(
        "its certificate is signed by itself, which clients refuse",
        "No CA has issued one yet: see the CA here, and crproxy's log; or keep one where certs says",
    )


def _for_others(shown: ShownCertificate) -> Finding | None:
    if shown.is_for_the_name:
        return None
    return _fault(
        f"its certificate is for other names: {shown.names}",
        "Get one for this name; in the directory that certs names, one that has it wins",
    )


def _vouched(shown: ShownCertificate, kept_by_hand: bool) -> Finding | None:
    if shown.is_trusted or shown.is_self_signed:
        return None
    text = f"its certificate is by {shown.issuer}, whom this machine does not trust"
    if kept_by_hand:
        advice = "Install that authority's certificate on every client, or use a public CA"
        return warning(Area.CERTIFICATES, "", text, advice)
    return _fault(text, "Use a CA that clients trust: a staging one's certificates are refused")


def _well(area: Area, subject: str, shown: ShownCertificate, now: float) -> Finding:
    if shown.ends - now < _SOON:
        days = int((shown.ends - now) // 86400)
        return warning(
            area,
            subject,
            f"its certificate ends in {days} days, on {_day(shown.ends)}",
            "It should have been renewed before: see crproxy's log, or replace its file where certs says",
        )
    text = f"good until {_day(shown.ends)}, by {shown.issuer}"
    return fine(area, subject, text, Told(text))


def _day(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
