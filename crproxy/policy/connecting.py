"""What a client may reach through this proxy by CONNECT (RFC 9110, 9.3.6).

Registries, which are answered here, and what the configuration lets through untouched; never anything else. Decided
from the name alone, before it is looked up; what it leads to is another question (addresses.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from ..oci.errors import RegistryError
from ..oci.names import Registry, canonical_host
from .addresses import is_address
from .hosts import refused_host

__all__ = [
    "Answered",
    "HostPattern",
    "NotATarget",
    "Passed",
    "Refused",
    "Target",
    "Verdict",
    "parse_target",
    "verdict",
    "why_not_answered",
]

# "authority-form = uri-host ':' port" (RFC 9112, 3.2.3): no userinfo, and the port is never left out. An address of
# version 6 is in brackets; what else the first part may be is looked at afterwards, for an answer that says so.
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^\[\]:@/?#\s]{1,255}):([0-9]{1,5})")
_HTTPS = 443
_LAST_PORT = 65535


class NotATarget(ValueError):
    """What stands behind CONNECT is no host and port; the message says what it should be."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a client wants to be connected to.

    Arguments:
        host: in lower case, without brackets or a final dot.
        port: from 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """Hosts: one, or with ``*.`` in front all below it, at any depth, and not the name itself."""

    text: str

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Return what is written; raises ValueError with what to write instead."""
        host = canonical_host(text.removeprefix("*."))
        if host is None or is_address(host) or "." not in host:
            raise ValueError(
                f"{text!r} is no host's name: write one such as example.com, or *.example.com for all below it"
            )
        return cls(f"*.{host}" if text.startswith("*.") else host)

    def __contains__(self, host: str) -> bool:
        return host.endswith(self.text[1:]) if self.text.startswith("*.") else host == self.text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Answered:
    """The target is a registry: this proxy answers in its place."""

    registry: Registry


@dataclass(frozen=True, slots=True)
class Passed:
    """The bytes of both sides are passed through, as they are."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody is connected; ``why`` says which setting, if any, would allow it."""

    why: str


Verdict = Answered | Passed | Refused


def parse_target(text: str) -> Target:
    """Return what stands behind CONNECT.

    Raises:
        NotATarget: it is something else, such as a URL, or has a username in it.
    """
    found = _AUTHORITY.fullmatch(text)
    if found is None or not 0 < int(found[2]) <= _LAST_PORT:
        raise NotATarget("CONNECT takes a host and a port, such as ghcr.io:443")
    host = found[1].strip("[]").lower()
    return Target(host.removesuffix("."), int(found[2]))


def why_not_answered(registry: Registry) -> str | None:
    """Return why nobody can be answered in the place of ``registry``; None where they can.

    What a CA may sign for has all below it, too: for com it is half of the internet.
    """
    host = registry.name.partition("]")[0] if registry.name.startswith("[") else registry.name.partition(":")[0]
    if is_address(host.strip("[")):
        return "is an address, and certificates are for names"
    if not registry.hosts:
        return "has a port of its own, and only port 443 is connected to"
    return None if "." in host else "has no dot: a CA that may sign for it may sign for all names that end in it"


def verdict(target: Target, registries: Collection[Registry], tunnels: Collection[HostPattern]) -> Verdict:
    """Return what becomes of ``target``.

    Arguments:
        registries: those that are answered here.
        tunnels: what is passed through.
    """
    if target.port != _HTTPS:
        return Refused(f"{target} is refused: only port {_HTTPS} is connected to")
    registry = _registry(target.host)
    if registry is not None and registry in registries and target.host in registry.hosts:
        return Answered(registry)
    why = refused_host(target.host)
    if why is not None:
        return Refused(f"{target.host} is refused: {why}")
    if any(target.host in pattern for pattern in tunnels):
        return Passed()
    return Refused(
        f"{target.host} is refused: under [proxy], registries = [...] would have a registry answered here, "
        "and tunnel = [...] any other host passed through"
    )


def _registry(host: str) -> Registry | None:
    try:
        return Registry.parse(host)
    except RegistryError:
        return None
