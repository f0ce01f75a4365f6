"""Servers measured in turn, round after round: what else the machine does falls on all of them alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from .servers import Server

__all__ = ["Costs", "alternate"]


@dataclass(slots=True)
class Costs:
    """What one server's rounds cost: CPU seconds, and seconds on the clock."""

    server: Server
    cpu: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)

    @property
    def median_cpu(self) -> float:
        """Half of the rounds cost no more."""
        return median(self.cpu)

    @property
    def median_clock(self) -> float:
        """Half of the rounds took no longer."""
        return median(self.clock)


def alternate(servers: Sequence[Server], rounds: int, work: Callable[[Server], float]) -> list[Costs]:
    """Let each server do `work`, which returns its seconds: once to warm up, then `rounds` times."""
    costs = [Costs(server) for server in servers]
    for server in servers:
        work(server)
    for _ in range(rounds):
        for cost in costs:
            before = cost.server.meter.cpu_seconds()
            cost.clock.append(work(cost.server))
            cost.server.meter.settle()
            cost.cpu.append(cost.server.meter.cpu_seconds() - before)
    return costs
