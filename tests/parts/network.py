"""A network of machines that can be parted: what one sends to another passes a router, which a test may have drop it.

Nothing is refused and nothing is reset: what is sent is gone, as where a cable is.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from .namespaces import Namespace
from .node import Node
from .requirements import need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

__all__ = ["Network"]

_LOOPBACK = '"$0" link set lo up'
_ROUTER = f"{_LOOPBACK} && echo 1 > /proc/sys/net/ipv4/ip_forward"


class Network:
    """Machines by name, and the router between them, from which all can be reached; leaving the ``with`` block ends it.

    Arguments:
        names: of the machines.
    """

    def __init__(self, *names: str) -> None:
        self._numbers = {name: number for number, name in enumerate(names, 1)}
        self._running = ExitStack()
        try:
            self._router = self._running.enter_context(Namespace(_ROUTER))
            self._machines = {name: self._running.enter_context(Namespace(_LOOPBACK)) for name in names}
            for name in names:
                self._connect(name)
        except BaseException:
            self._running.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def address(self, name: str) -> str:
        """Return a machine's address."""
        return f"10.213.{self._numbers[name]}.2"

    def node(self, name: str) -> Node:
        """Return a machine as what programs run on."""
        return _Machine(entering=tuple(self._machines[name].command))

    def entered(self, name: str | None = None) -> AbstractContextManager[None]:
        """Have this thread be on a machine within a ``with`` block, or on the router: see `Namespace.entered`."""
        return (self._router if name is None else self._machines[name]).entered()

    def cut(self, one: str, *others: str) -> None:
        """Let nothing pass any more between a machine and others, in either direction."""
        for other in others:
            self._rule("add", one, other)
            self._rule("add", other, one)

    def heal(self, one: str, *others: str) -> None:
        """Undo `cut`."""
        for other in others:
            self._rule("del", one, other)
            self._rule("del", other, one)

    def slow(self, name: str, rate: int) -> None:
        """Let so many bytes a second reach a machine, of all that is sent to it."""
        line = ["rate", f"{rate * 8}bit", "burst", "32kb", "latency", "400ms"]
        self._router.run(need("tc"), "qdisc", "add", "dev", self._link(name), "root", "tbf", *line)

    def _rule(self, what: str, source: str, target: str) -> None:
        passing = ["from", self.address(source), "to", self.address(target)]
        self._router.run(need("ip"), "rule", what, *passing, "blackhole")

    def _connect(self, name: str) -> None:
        ip, link, machine = need("ip"), self._link(name), self._machines[name]
        gateway = f"10.213.{self._numbers[name]}.1"
        self._router.run(ip, "link", "add", link, "type", "veth", "peer", "name", "wire", "netns", str(machine.pid))
        self._router.run(ip, "address", "add", f"{gateway}/30", "dev", link)
        self._router.run(ip, "link", "set", link, "up")
        machine.run(ip, "address", "add", f"{self.address(name)}/30", "dev", "wire")
        machine.run(ip, "link", "set", "wire", "up")
        machine.run(ip, "route", "add", "default", "via", gateway)

    def _link(self, name: str) -> str:
        return f"to-{self._numbers[name]}"


@dataclass(frozen=True, slots=True)
class _Machine(Node):
    entering: tuple[str, ...] = ()

    def command(self, command: Sequence[str]) -> list[str]:
        return [*self.entering, *command]
