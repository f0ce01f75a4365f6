"""Which registries are looked at, with what, and what was seen at one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from treq.client import HTTPClient

from ...config import Config, Upstream
from ...oci.names import DOCKER_HUB, Registry
from ...upstream.agent import Clients
from ...upstream.client import RegistryClient
from ...upstream.exchange import Exchange
from ...upstream.quotas import Quotas
from ...upstream.tokens import Tokens
from .clock import ClockReading
from .environment import SECONDS, ProbeEnvironment
from .findings import Area, Finding, Outcome

__all__ = ["RegistryCheck", "Tools", "chosen"]


def chosen(config: Config, named: Iterable[Registry] = ()) -> list[Registry]:
    """Return the registries that are looked at: ``named``, else those configured, those of aliases, and Docker Hub.

    What is not served need not be reached.
    """
    picked = list(named)
    known = {DOCKER_HUB, *config.upstreams, *config.names.aliases.values()}
    served = config.access.registries
    return picked or sorted(known if served is None else known & served)


@dataclass(frozen=True, slots=True)
class Tools:
    """The daemon's client side, made for one look.

    Arguments:
        http: returns what reaches an upstream.
    """

    http: Callable[[Upstream], HTTPClient]
    tokens: Tokens
    exchange: Exchange
    client: RegistryClient
    environment: ProbeEnvironment

    @classmethod
    def of(cls, config: Config, environment: ProbeEnvironment) -> Tools:
        """Return what the daemon would ask with; it is less patient, because somebody waits."""
        timeouts = replace(config.timeouts, headers=min(config.timeouts.headers, SECONDS))
        clients = Clients(environment.reactor, timeouts)
        tokens = Tokens(timeouts, environment.reactor, now=environment.now)
        exchange = Exchange(clients.client, tokens, timeouts, environment.reactor)
        client = RegistryClient(config.upstream, exchange, Quotas(environment.now))
        return cls(clients.client, tokens, exchange, client, environment)


@dataclass(slots=True)
class RegistryCheck:
    """What was seen at one registry."""

    upstream: Upstream
    findings: list[Finding] = field(default_factory=list)
    reading: ClockReading | None = None

    def note(self, outcome: Outcome, step: str, text: str, advice: str = "") -> bool:
        """Add what came of a step; return whether it came to something."""
        subject = f"{self.upstream.registry}: {step}"
        self.findings.append(Finding(Area.UPSTREAMS, subject, outcome, text, advice))
        return outcome in (Outcome.OK, Outcome.WARNING)

    @property
    def table(self) -> str:
        """Where it is configured."""
        return f'[upstreams."{self.upstream.registry}"]'
