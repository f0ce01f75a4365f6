"""What was measured of crproxy and its peers, held against what is aimed at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .caches import CRPROXY, DOCKER_REGISTRY, NGINX

__all__ = ["Finding", "Samples", "Target", "head"]

PEERS = (CRPROXY, NGINX, DOCKER_REGISTRY)
# Rounding must not decide.
_SLACK = 1e-9

# One number, or that of each round.
Samples = float | Sequence[float]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on crproxy's number.

    Arguments:
        bound: the number, or the factor of the other's.
        relative_to: whose number it is a factor of; None where it stands by itself.
        at_least: more is better.
    """

    bound: float
    relative_to: str | None = None
    at_least: bool = False

    def __str__(self) -> str:
        of = "" if self.relative_to is None else f" x {self.relative_to}"
        return f"{'>=' if self.at_least else '<='} {self.bound:g}{of}"

    def is_met(self, number: float) -> bool:
        """Whether the number, a ratio where the target is one, keeps the bound."""
        return number >= self.bound - _SLACK if self.at_least else number <= self.bound + _SLACK


def head(peers: Sequence[str] = PEERS) -> tuple[str, ...]:
    """The head of a table of findings, with these columns."""
    return ("work", *peers, "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of work, and the numbers of each that did it.

    Arguments:
        digits: after the decimal point.
    """

    work: str
    samples: Mapping[str, Samples]
    targets: Sequence[Target] = ()
    digits: int = 2

    def number(self, peer: str) -> float:
        """The median of what `peer` did."""
        samples = self.samples[peer]
        return samples if isinstance(samples, int | float) else median(samples)

    def rows(self, peers: Sequence[str] = PEERS) -> list[tuple[str, ...]]:
        """One line for each target, one at least."""
        return [self._row(peers, target) for target in self.targets] or [self._row(peers, None)]

    def _row(self, peers: Sequence[str], target: Target | None) -> tuple[str, ...]:
        return (self.work, *(self._cell(peer) for peer in peers), *self._verdict(target))

    def _cell(self, peer: str) -> str:
        """The median, and from where to where the rounds were."""
        if peer not in self.samples:
            return "-"
        samples, middle = self.samples[peer], self._written(self.number(peer))
        if isinstance(samples, int | float):
            return middle
        least, most = self._written(min(samples)), self._written(max(samples))
        return middle if least == most else f"{middle} ({least}-{most})"

    def _written(self, number: float) -> str:
        return f"{number:,.{self.digits}f}"

    def _verdict(self, target: Target | None) -> tuple[str, str, str]:
        if target is None:
            return "-", "-", "-"
        ours = self.number(CRPROXY)
        if target.relative_to is None:
            return "-", str(target), _yes_or_no(target.is_met(round(ours, self.digits)))
        theirs = self.number(target.relative_to)
        ratio = ours / theirs if theirs else float("inf")
        return f"{ratio:.2f}", str(target), _yes_or_no(target.is_met(ratio))


def _yes_or_no(met: bool) -> str:
    return "yes" if met else "no"
