"""Nodes of a fleet and their certificates, in memory: each with a disk of its own, one CA, and one Valkey."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from crproxy.config import Acme, Config
from crproxy.fleet import leases, sealed_values
from crproxy.fleet.fleet import Membership
from crproxy.fleet.identity import Secret
from crproxy.fleet.leases import Leases
from crproxy.fleet.sealed_values import SealedValues
from crproxy.fleet.valkey import Away, Script, Valkey
from crproxy.oci.names import Registry
from crproxy.policy.routing import Names
from crproxy.sharing.alone import Alone, OwnRecords
from crproxy.tls.certificates import Certified
from crproxy.tls.certifying import Certificates
from crproxy.tls.client_hello import Hello
from crproxy.tls.plan import State
from crproxy.upstream.agent import treq_client
from tests.acme.fake_ca import ORIGIN
from tests.memory import Network
from tests.tls.conftest import NAMES
from tests.tls.issuing_ca import IssuingCa

__all__ = ["SECRET", "CertifyingFleet", "Connected", "Member", "Server"]

SECRET = Secret(b"0123456789abcdef0123456789abcdef")
CA = "acme:ca.example"


class Server:
    """What Valkey keeps: values, and when each ends, by its clock."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.values: dict[str, tuple[bytes, float]] = {}
        self.changes: dict[str, dict[str, float]] = {}
        self.asked: list[str] = []
        self._last = 0.0

    def get(self, key: str) -> bytes | None:
        value, ends = self.values.get(key, (b"", 0.0))
        return value if ends > self.clock.seconds() else None

    def set(self, key: str, value: str | bytes, milliseconds: float = 1e12) -> None:
        content = value.encode() if isinstance(value, str) else value
        self.values[key] = content, self.clock.seconds() + milliseconds / 1000

    def clear(self) -> None:
        self.values.clear()
        self.changes.clear()

    def change(self, key: str, name: str) -> None:
        self._last = max(self._last + 1, self.clock.seconds() * 1e6)
        self.changes.setdefault(key, {})[name] = self._last

    def answer(self, command: Any, *words: Any) -> Any:
        """Answer a command, or a script with its keys and arguments."""
        self.asked.append(command if isinstance(command, str) else "script")
        if command == "MGET":
            return [self.get(key) for key in words]
        if command == "PEXPIRE":
            return self.set(words[0], self.get(words[0]) or b"", words[1])
        if command == "ZRANGEBYSCORE":
            after = float(words[1].removeprefix("("))
            found = [(name, score) for name, score in self.changes.get(words[0], {}).items() if score > after]
            return [part for name, score in found for part in (name.encode(), f"{score:.0f}".encode())]
        return self._run(command, *words)

    def _run(self, script: Script, *words: Any) -> Any:
        key = words[0]
        ends = f"{(self.clock.seconds() + leases.LEASE_SECONDS) * 1000:.0f}".encode()
        if script is leases._TAKE:
            held = self.get(key)
            if held is not None:
                return [held]
            self._last = max(self._last + 1, self.clock.seconds() * 1e6)
            self.set(key, f"{words[2]}{self._last:.0f}}}", words[3])
            return [f"{self._last:.0f}".encode(), ends]
        if script is leases._RENEW:
            if self.get(key) != words[1]:
                return b""
            self.set(key, words[1], words[2])
            return ends
        if script is leases._GIVE_BACK:
            return int(self.get(key) == words[1] and self.values.pop(key, None) is not None)
        assert script is sealed_values._REPLACE
        if (self.get(key) or b"") != words[2]:
            return 0
        self.set(key, words[3], words[4])
        self.change(words[1], words[5])
        return 1


class Connected:
    """A node's client of it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ahead = 0.0
        self.is_up = True
        self.refuses: set[Any] = set()
        self._on_up: list[Any] = []

    @property
    def valkey(self) -> Valkey:
        return cast("Valkey", self)

    def key(self, *parts: str) -> str:
        return ":".join(("fake", *parts))

    def on_up(self, call: Any) -> None:
        self._on_up.append(call)

    def come_back(self) -> None:
        self.is_up = True
        for call in self._on_up:
            call()

    async def ask(self, *words: Any) -> Any:
        if not self.is_up or words[0] in self.refuses:
            raise Away("away")
        return self.server.answer(*words)

    async def run(self, script: Script, keys: Any, arguments: Any = ()) -> Any:
        return await self.ask(script, *keys, *arguments)


class _Told(Alone):
    """What this node knows, of which answers for a CA are told to all at once."""

    def __init__(self, told: dict[str, OwnRecords]) -> None:
        super().__init__()
        self._told = told

    def records(self, what: str) -> OwnRecords:
        return self._told.setdefault(what, OwnRecords())


@dataclass(eq=False)
class Member:
    """A node."""

    certificates: Certificates
    connected: Connected
    data_dir: Path

    def shown(self, name: str) -> Certified | None:
        return self.certificates.table.certificate(name)

    def leaf(self, name: str) -> Any:
        shown = self.shown(name)
        return None if shown is None else shown.leaf

    @property
    def states(self) -> set[State]:
        return {state.state for state in self.certificates.states()}

    @property
    def account(self) -> bytes:
        (path,) = self.data_dir.rglob("account.pem")
        return path.read_bytes()


@dataclass
class CertifyingFleet:
    """All of it."""

    directory: Path
    names: tuple[str, ...] = NAMES
    nodes: list[Member] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = Network()
        self.network.clock.advance(1_700_000_000)
        self.server = Server(self.network.clock)
        self.ca = IssuingCa(self.network, self._sees)
        self._told: dict[str, OwnRecords] = {}
        # The node that the CA reaches; None is the last.
        self.reached: Member | None = None

    def start(
        self,
        *,
        data_dir: Path | None = None,
        names: tuple[str, ...] | None = None,
        secret: Secret = SECRET,
        is_up: bool = True,
        **acme: Any,
    ) -> Member:
        """One more node, with an empty disk unless another is given."""
        clock, number = self.network.clock, len(self.nodes)
        first, *others = self.names if names is None else names
        known = Names(first, {name: Registry("quay.io") for name in others})
        data_dir = data_dir or self.directory / f"node-{number}"
        config = Config(
            known, data_dir=str(data_dir), acme=replace(Acme(directory=f"{ORIGIN}/dir", email="a@b.test"), **acme)
        )
        connected = Connected(self.server)
        connected.is_up = is_up
        name = f"n{number}"
        own = Leases(connected.valkey, cast("Any", None), name, f"https://{name}:1", clock)
        unused = cast("Any", None)
        membership = Membership(connected.valkey, own, unused, unused, unused, unused, secret)
        http = treq_client(self.network.agent())
        certificates = Certificates(config, lambda: http, clock, sharing=_Told(self._told), membership=membership)
        node = Member(certificates, connected, data_dir)
        self.nodes.append(node)
        certificates.startService()
        self.advance(0)
        return node

    def values(self) -> SealedValues:
        """What lies in Valkey, as a node sees it."""
        return SealedValues(Connected(self.server).valkey, SECRET, CA)

    def stop(self, node: Member) -> None:
        self.nodes.remove(node)
        node.certificates.stopService()

    def close(self) -> None:
        for node in list(self.nodes):
            self.stop(node)

    def advance(self, seconds: float) -> None:
        """Let time pass, in steps that leave nothing waiting that is due."""
        end = self.network.clock.seconds() + seconds
        self.network.advance(0)
        while calls := [call for call in self.network.clock.getDelayedCalls() if call.getTime() <= end]:
            upcoming = min(call.getTime() for call in calls)
            self.network.advance(max(0.0, upcoming - self.network.clock.seconds()))
        self.network.advance(end - self.network.clock.seconds())

    def agree(self) -> bool:
        """Tell whether each node shows the same certificate of the CA's for each of its names."""
        return all(
            len({node.leaf(name) for node in self.nodes}) == 1 and self.nodes[0].shown(name) is not None
            for name in self.nodes[0].certificates.table.names
        )

    def _sees(self, kind: str, name: str, token: str) -> bool:
        reached = (self.reached or self.nodes[-1]).certificates
        if kind == "http-01":
            return (reached.find_answer(token) or "").startswith(f"{token}.")
        shown = reached.choose(Hello(name, (b"acme-tls/1",)))
        return shown is not None and any(extension.critical for extension in shown.leaf.extensions)
