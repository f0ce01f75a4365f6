"""What was measured of the three, held against what is aimed at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .caches import CRPROXY, DOCKER_REGISTRY, NGINX

__all__ = ["HEAD", "Finding", "Target"]

HEAD = ("work", CRPROXY, NGINX, DOCKER_REGISTRY, "ratio", "target", "met")
# Rounding must not decide.
_SLACK = 1e-9


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


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of work, and the number of each that did it.

    Arguments:
        digits: after the decimal point.
    """

    work: str
    numbers: Mapping[str, float]
    targets: Sequence[Target] = ()
    digits: int = 2

    def rows(self) -> list[tuple[str, ...]]:
        """One line for each target, one at least."""
        return [self._row(target) for target in self.targets] or [self._row(None)]

    def _row(self, target: Target | None) -> tuple[str, ...]:
        names = (CRPROXY, NGINX, DOCKER_REGISTRY)
        numbers = [f"{self.numbers[name]:,.{self.digits}f}" if name in self.numbers else "-" for name in names]
        return (self.work, *numbers, *self._verdict(target))

    def _verdict(self, target: Target | None) -> tuple[str, str, str]:
        if target is None:
            return "-", "-", "-"
        ours = self.numbers[CRPROXY]
        if target.relative_to is None:
            return "-", str(target), _yes_or_no(target.is_met(round(ours, self.digits)))
        theirs = self.numbers[target.relative_to]
        ratio = ours / theirs if theirs else float("inf")
        return f"{ratio:.2f}", str(target), _yes_or_no(target.is_met(ratio))


def _yes_or_no(met: bool) -> str:
    return "yes" if met else "no"
