"""Servers measured in turn, round after round: what else the machine does falls on all of them alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from .quiet import Quiet, Restless
from .servers import Server

__all__ = ["Costs", "alternate"]

# So often a round is done until none of it was disturbed.
_REPEATS = 5


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


def alternate(
    servers: Sequence[Server], rounds: int, work: Callable[[Server], float], quiet: Quiet | None = None
) -> list[Costs]:
    """Let each server do `work`, which returns its seconds: once to warm up, then `rounds` times.

    Arguments:
        quiet: is awaited before each; what was disturbed all the same is done again.
    """
    costs = [Costs(server) for server in servers]
    for server in servers:
        work(server)
    for number in range(rounds):
        # Who comes first finds the machine as nobody else does, who has made a file just now, or has waited for quiet:
        # that cost up to 10 % more. So each comes first in its turn.
        first = number % len(costs)
        for cost in costs[first:] + costs[:first]:
            clock, cpu = _undisturbed(cost.server, work, quiet)
            cost.clock.append(clock)
            cost.cpu.append(cpu)
    return costs


def _undisturbed(server: Server, work: Callable[[Server], float], quiet: Quiet | None) -> tuple[float, float]:
    for _ in range(_REPEATS):
        if quiet is not None:
            quiet.wait()
        begun = None if quiet is None else quiet.mark()
        before = server.meter.cpu_seconds()
        clock = work(server)
        server.meter.settle()
        cpu = server.meter.cpu_seconds() - before
        if quiet is None or begun is None or not quiet.disturbed(begun):
            return clock, cpu
    raise Restless(f"a round was disturbed {_REPEATS} times: end what else runs, and measure again")
