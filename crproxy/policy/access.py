"""What this proxy serves, decided from names alone: before any is looked up."""

from __future__ import annotations

from dataclasses import dataclass

from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Registry

__all__ = ["Access"]


@dataclass(frozen=True, slots=True)
class Access:
    """What may be asked for.

    Arguments:
        registries: those served; None is any public one, and those that the configuration has a table for.
        message: what the client is told besides, such as whom to ask.
        named: those that the list has by name, whether or not it admits all.
    """

    registries: frozenset[Registry] | None = None
    message: str = ""
    named: frozenset[Registry] = frozenset()

    def check(self, registry: Registry) -> None:
        """Raise DENIED unless images of ``registry`` are served."""
        if self.registries is None or registry in self.registries:
            return
        served = ", ".join(sorted(map(str, self.registries))) or "none"
        advice = self.message or f"whoever runs it may add {registry} to its list"
        raise RegistryError(
            ErrorCode.DENIED, f"this proxy does not serve {registry}; the registries that it serves: {served}; {advice}"
        )
