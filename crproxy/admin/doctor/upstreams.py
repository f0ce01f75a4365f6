"""Which registries are looked at, with what, and what was seen at one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from treq.client import HTTPClient

from ...config import Config, Upstream
from ...oci.names import DOCKER_HUB, Registry
from ...upstream.agent import Clients
from ...upstream.exchange import Exchange
from ...upstream.tokens import Tokens
from .clock import ClockReading
from .environment import SECONDS, ProbeEnvironment
from .findings import Area, Finding, Outcome, Told

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
    environment: ProbeEnvironment

    @classmethod
    def of(cls, config: Config, environment: ProbeEnvironment) -> Tools:
        """Return what the daemon would ask with; it is less patient, because somebody waits."""
        timeouts = replace(config.timeouts, headers=min(config.timeouts.headers, SECONDS))
        clients = Clients(environment.reactor, timeouts)
        tokens = Tokens(timeouts, environment.reactor, now=environment.now)
        exchange = Exchange(clients.client, tokens, timeouts, environment.reactor)
        return cls(clients.client, tokens, exchange, environment)


@dataclass(slots=True)
class RegistryCheck:
    """What was seen at one registry, or at one of its endpoints.

    Arguments:
        is_one_of_several: it has others, which are looked at, too.
    """

    upstream: Upstream
    is_one_of_several: bool = False
    findings: list[Finding] = field(default_factory=list)
    reading: ClockReading | None = None

    def note(
        self,
        outcome: Outcome,
        step: str,
        text: str,
        advice: str = "",
        *,
        common: Told | None = None,
        depends_on: Area | None = None,
    ) -> bool:
        """Add what came of a step (Finding); return whether it came to something."""
        subject = f"{self.name}: {step}"
        self.findings.append(Finding(Area.UPSTREAMS, subject, outcome, text, advice, common, depends_on))
        return outcome in (Outcome.OK, Outcome.WARNING)

    @property
    def name(self) -> str:
        """What it is called: by its endpoint, too, where that is not the only one."""
        registry = str(self.upstream.registry)
        return f"{registry} at {self.upstream.endpoint}" if self.is_one_of_several else registry

    @property
    def table(self) -> str:
        """Where it is configured."""
        table = f'[upstreams."{self.upstream.registry}"]'
        return f"{table}, at this endpoint" if self.is_one_of_several else table
