"""Does the daemon run, and what answers at the endpoints that it should listen on?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...config import Config
from ...policy.endpoints import parse_endpoint
from ..endpoint import admin_endpoint
from .environment import ProbeEnvironment
from .findings import Area, Finding, fine, warning
from .http_probe import ProbeResult, client_endpoint, host_and_port, probe

__all__ = ["Daemon", "find_daemon"]


@dataclass(frozen=True, slots=True)
class Daemon:
    """The daemon, as it is seen from this machine.

    Arguments:
        answers: what came of a probe at each endpoint, but for those of which it cannot be told where they are.
        admin: the same for the operator's.
    """

    answers: Mapping[str, ProbeResult] = field(default_factory=dict)
    admin: ProbeResult | None = None

    @property
    def runs(self) -> bool:
        """Tell whether there is one."""
        operators = self.admin is not None and self.admin.status is not None
        return operators or any(result.is_crproxy and not result.in_the_clear for result in self.answers.values())

    @property
    def finding(self) -> Finding:
        """Say whether it runs."""
        if self.runs:
            return fine(Area.DAEMON, "crproxy", "is running")
        return warning(
            Area.DAEMON,
            "crproxy",
            "is not running",
            "Start it, such as by systemctl start crproxy; what only it can show is left out here",
        )


async def find_daemon(config: Config, environment: ProbeEnvironment) -> Daemon:
    """Probe wherever ``config`` says that it listens."""
    answers: dict[str, ProbeResult] = {}
    host = config.names.domain or "localhost"
    for description, scheme in config.client_endpoints:
        result = await _probe(description, scheme, host, "/v2/", environment)
        if result is not None:
            answers[description] = result
    admin = admin_endpoint(config)
    return Daemon(answers, await _probe(admin, "http", "crproxy", "/aliases", environment) if admin else None)


async def _probe(
    description: str, scheme: str, host: str, path: str, environment: ProbeEnvironment
) -> ProbeResult | None:
    endpoint = parse_endpoint(description)
    secure = "https" if endpoint.kind == "ssl" else scheme
    target = client_endpoint(endpoint, environment.reactor)
    if target is None or endpoint.proxied:
        return None
    authority = host_and_port(host, endpoint.port or {"http": 80, "https": 443}[secure], secure)
    seen = await probe(environment.reactor, target, f"{secure}://{authority}{path}")
    if secure == "http" or not seen.connected or seen.status is not None or seen.shown is not None:
        return seen
    # OpenSSL calls it a wrong version number, which tells nobody that something else is there.
    plain = await probe(environment.reactor, target, f"http://{authority}{path}")
    return seen if plain.status is None else replace(plain, in_the_clear=True)
