"""What a proxy serves, as those need it who write names for it: without the rest of its configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..oci.names import Registry, Repository
from .hosts import refused_host
from .routing import host_name

__all__ = ["Serves", "is_inside"]


@dataclass(frozen=True, slots=True)
class Serves:
    """What a proxy serves, to one client.

    Arguments:
        registry, repository: raise RegistryError (DENIED) for what it does not.
        may_ask: tells whether a registry's host is one that it asks at all.
    """

    registry: Callable[[Registry], None]
    repository: Callable[[Repository], None]
    may_ask: Callable[[Registry], bool]


def is_inside(registry: Registry) -> bool:
    """Tell whether ``registry`` is at a host that each network has of its own, or at an address."""
    return refused_host(host_name(registry.name)) is not None
