"""Do the nodes of a fleet reach each other, and is each the one that it should be?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from ... import __version__
from ...config import Config, Fleet
from .daemon import Daemon
from .environment import ProbeEnvironment
from .findings import Area, Finding, failed, fine, skipped, warning
from .valkey_check import ValkeyCheck, check_valkey

if TYPE_CHECKING:
    from ...fleet.asking_nodes import AskingNodes
    from ...fleet.nodes import Node

__all__ = ["check_fleet"]

# Nodes that are asked at the same time.
_AT_ONCE = 8
# Of 32 hexadecimal digits by chance, fewer are different from each other once in 10 ** 7.
_LEAST_LETTERS = 8
_REACH = "Let advertise lead to where [fleet] listen says, from this machine as well, and firewalls pass its port"


async def check_fleet(config: Config, daemon: Daemon, environment: ProbeEnvironment) -> ValkeyCheck:
    """Return what was found of Valkey, of this node and of the others; nothing where no fleet is configured."""
    fleet = config.fleet
    if fleet is None:
        return ValkeyCheck()
    check = await check_valkey(fleet, environment)
    check.findings.append(_letters(fleet))
    try:
        from ...fleet.asking_nodes import AskingNodes
        from ...fleet.identity import Secret
    except ImportError:
        # That is said of Valkey already.
        return check
    identity = Secret(fleet.secret.encode()).identity(environment.now())
    asking = AskingNodes(identity.client, 5.0, 5.0, environment.reactor)
    try:
        check.findings.append(await _own(fleet, daemon, asking, environment))
        check.findings.extend(_among(fleet, daemon, check.nodes))
        check.findings.extend(await _others(fleet, check.nodes, asking, environment))
    finally:
        await asking.close()
    return check


def _letters(fleet: Fleet) -> Finding:
    size = len(fleet.secret.encode())
    if len(set(fleet.secret)) < _LEAST_LETTERS:
        return warning(
            Area.FLEET,
            "secret",
            f"has {size} bytes, but only {len(set(fleet.secret))} different ones: it can be guessed",
            "Write another into secret_file of every node (openssl rand -hex 32), and restart them",
        )
    return fine(Area.FLEET, "secret", f"has {size} bytes")


async def _own(fleet: Fleet, daemon: Daemon, asking: AskingNodes, environment: ProbeEnvironment) -> Finding:
    """Ask this node where the others do."""
    subject = f"this node at {fleet.advertise}"
    if not daemon.runs:
        return skipped(Area.FLEET, subject, "crproxy is not running")
    return await _ask(subject, fleet.advertise, fleet.name, asking, environment)


def _among(fleet: Fleet, daemon: Daemon, nodes: list[Node] | None) -> Iterable[Finding]:
    """Say whether this node is one that the others know."""
    if nodes is None or not daemon.runs:
        return
    own = [node for node in nodes if node.name == fleet.name]
    if not own:
        yield failed(
            Area.FLEET,
            fleet.name,
            "is not among the nodes that have said in the last 5 s that they are there",
            "See its log; it may have been started with another configuration: restart it",
        )
    for node in own:
        if node.url != fleet.advertise:
            yield failed(
                Area.FLEET,
                fleet.name,
                f"is also what the node at {node.url} is called",
                "Give each node a name of its own ([fleet] name)",
            )


async def _others(
    fleet: Fleet, nodes: list[Node] | None, asking: AskingNodes, environment: ProbeEnvironment
) -> list[Finding]:
    if nodes is None:
        return [skipped(Area.FLEET, "other nodes", "who is there only Valkey can tell")]
    others = [node for node in nodes if node.name != fleet.name]
    if not others:
        return [fine(Area.FLEET, "other nodes", "there are none")]
    limit = DeferredSemaphore(_AT_ONCE)

    def begin(node: Node) -> Deferred[Finding]:
        subject = f"node {node.name} at {node.url}"
        return limit.run(lambda: Deferred.fromCoroutine(_ask(subject, node.url, node.name, asking, environment)))

    return await gatherResults([begin(node) for node in others])


async def _ask(subject: str, url: str, name: str, asking: AskingNodes, environment: ProbeEnvironment) -> Finding:
    """Ask who is at ``url``, which should be the node ``name``."""
    from ...fleet.asking_nodes import NodeIsGone, NotThere

    began = environment.reactor.seconds()
    try:
        about = await asking.about(url)
    except (NodeIsGone, NotThere) as error:
        why = str(error).removeprefix(url).removeprefix(": ").strip()
        same = "secret" in why
        advice = "Let secret_file have the same secret on each node, and restart the one where it had another"
        return failed(Area.FLEET, subject, why, advice if same else _REACH)
    if about.name != name:
        return failed(
            Area.FLEET,
            subject,
            f"the node {about.name} answers there",
            "Let advertise of each node lead to that node alone, past any balancer",
        )
    took = environment.reactor.seconds() - began
    other = "" if about.version == __version__ else f", while this one is {__version__}"
    return fine(Area.FLEET, subject, f"answers in {took:.2f} s as crproxy {about.version}{other}")
